"""`mien bench features`: Mien's way from a clip to features, the common way, and the limit.

All of it on the same clip in the same process, by turns, with random weights (speed does not depend
on them):

- Mien: `extract` with its defaults, EfficientNet-B0 on OpenVINO, one inference thread per core.
- The common way: facenet-pytorch's MTCNN at its defaults on every full-size frame, and the package
  emotiefflib on the faces' boxes, all of a clip in one call, with torch and with ONNX Runtime.
- The limit: decoding every frame to RGB and running the backbone on ready crops, one after the
  other, with everything in between for nothing.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from common.backbones.registry import Backbone, load
from common.errors import UsageError
from common.video import Image
from common.video.decode import frames
from common.video.extract import BATCH, extract
from common.video.mtcnn.detector import FastMtcnn
from common.video.tracking import FaceFinder, Tracker
from simulations.watching import Watcher

MODEL: Final = "enet_b0_8_best_vgaf"
BACKBONE: Final = "enet-b0-8-best-vgaf"
_CLASSES: Final = 8


class Timing(NamedTuple):
    """Frames per second of each repetition."""

    fps: list[float]

    def summary(self, name: str) -> dict[str, Any]:
        """Median, and spread as least and most."""
        return {
            f"{name}_fps": round(statistics.median(self.fps), 2),
            f"{name}_fps_spread": [round(min(self.fps), 2), round(max(self.fps), 2)],
        }


def measure_features(clip: Path, *, repeats: int, watch: Watcher) -> dict[str, Any]:
    """Frames per second of each way on one clip.

    Args:
        clip: a video file with a face.
        repeats: times that each way runs, after one run that is not counted; at least 1.
        watch: told of each run.

    Returns:
        `mien_fps`, `common_torch_fps`, `common_onnx_fps`, `limit_fps` (medians), the spread of each
        (`..._fps_spread`: least and most), the limit's parts, and the two ratios that count.

    Raises:
        UsageError: `repeats` is below 1, or the extra `bench` is not installed.
        ClipError: the clip is unusable.
    """
    if repeats < 1:
        raise UsageError(f"repeats is {repeats}; give at least 1")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        network = _write_random_weights(home / ".emotiefflib")
        ways = _ways(clip, home, network)
        timings = _by_turns(ways, sum(1 for _ in frames(clip)), repeats, watch)
    return _report(clip, timings)


def random_backbone(folder: Path, *, threads: int) -> Backbone:
    """EfficientNet-B0 with random weights, written to `folder`, on the default engine."""
    return load(BACKBONE, weights=_write_random_weights(folder), threads=threads)


def _by_turns(
    ways: Mapping[str, Callable[[], object]], count: int, repeats: int, watch: Watcher
) -> dict[str, Timing]:
    timings: dict[str, Timing] = {name: Timing([]) for name in ways}
    done = 0
    for repeat in range(repeats + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            seconds = time.perf_counter() - started
            if repeat:
                timings[name].fps.append(count / seconds)
            done += 1
            watch("ways timed by turns", done, (repeats + 1) * len(ways))
    return timings


def _ways(clip: Path, home: Path, network: Path) -> dict[str, Callable[[], object]]:
    cores = os.cpu_count() or 1
    backbone = load(BACKBONE, weights=network, threads=cores)
    finder = Tracker(FastMtcnn())
    with _home(home):
        common = {engine: _CommonWay(engine) for engine in ("torch", "onnx")}
    crops = _some_crops(clip, finder, backbone.record.input_size)
    return {
        "mien": lambda: extract(clip, backbone, finder),
        "common_torch": lambda: common["torch"].features(clip),
        "common_onnx": lambda: common["onnx"].features(clip),
        "decode": lambda: _last(frames(clip)),
        "backbone": lambda: _run_backbone(backbone, crops),
    }


def _report(clip: Path, timings: Mapping[str, Timing]) -> dict[str, Any]:
    limits = [
        1 / (1 / decode + 1 / backbone)
        for decode, backbone in zip(timings["decode"].fps, timings["backbone"].fps, strict=True)
    ]
    report: dict[str, Any] = {"clip": clip.name, "weights": "random"}
    for name in ("mien", "common_torch", "common_onnx"):
        report |= timings[name].summary(name)
    report |= Timing(limits).summary("limit")
    for name in ("decode", "backbone"):
        report |= timings[name].summary(name)
    report["mien_of_limit"] = round(report["mien_fps"] / report["limit_fps"], 3)
    report["mien_times_common_torch"] = round(report["mien_fps"] / report["common_torch_fps"], 2)
    return report


class _CommonWay:
    """What one writes after reading the two packages' front pages."""

    def __init__(self, engine: str) -> None:
        from facenet_pytorch import MTCNN

        try:
            from emotiefflib.facial_analysis import EmotiEffLibRecognizer
        except ImportError as error:
            raise UsageError(
                "bench features needs the package emotiefflib to measure against; "
                "install mien with its extra: mien[bench]"
            ) from error
        self._detector = MTCNN()
        self._recogniser = EmotiEffLibRecognizer(engine, MODEL)

    def features(self, clip: Path) -> npt.NDArray[np.float32]:
        """(frames with a face, 1280)."""
        faces = [face for frame in frames(clip) for face in self._faces(frame)]
        import torch

        with torch.no_grad():
            return np.asarray(self._recogniser.extract_features(faces))

    def _faces(self, frame: Image) -> Iterator[Image]:
        boxes, _ = self._detector.detect(frame)
        if boxes is not None:
            left, top, right, bottom = (max(0, int(edge)) for edge in boxes[0])
            yield frame[top:bottom, left:right]


def _write_random_weights(folder: Path) -> Path:
    """EfficientNet-B0 as emotiefflib looks for it: a pickled module and an ONNX file."""
    import timm
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_b0", num_classes=_CLASSES).eval()
    torch.save(network, folder / f"{MODEL}.pt")
    path = folder / f"{MODEL}.onnx"
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, 224, 224),),
        str(path),
        input_names=["input"],
        dynamic_axes={"input": {0: "batch"}},
        dynamo=False,
    )
    return path


def _some_crops(clip: Path, finder: FaceFinder, size: int) -> npt.NDArray[np.uint8]:
    """As many crops as the clip has frames; what they show does not matter for time."""
    count = sum(1 for _ in frames(clip))
    noise = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8)
    return np.resize(noise, (count, size, size, 3))


def _run_backbone(backbone: Backbone, crops: npt.NDArray[np.uint8]) -> None:
    for start in range(0, len(crops), BATCH):
        backbone.features(crops[start : start + BATCH])


def _last(images: Iterator[Image]) -> None:
    for _ in images:
        pass


@contextmanager
def _home(folder: Path) -> Iterator[None]:
    """emotiefflib looks for its files in the home folder, and downloads them otherwise."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before
