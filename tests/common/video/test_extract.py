from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from common.backbones.registry import load
from common.errors import UsageError
from common.video import Image
from common.video import extract as module
from common.video.decode import ClipError, Reason
from common.video.extract import ClipFeatures, extract
from common.video.faces import MtcnnDetector
from tests.common.video.clips import flat_images, write_video
from tests.common.video.fakes import BoxDetector, MeanBackbone, upright_face
from tests.support import shared_video

COUNT = 11
FACE = upright_face(8, 8, 40, 40)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", flat_images(COUNT))


def levels(clip: ClipFeatures) -> list[int]:
    """Number of each frame, read back from its feature."""
    assert clip.features.shape[1] == 128
    return [round((row[0] - 10) / 15) for row in clip.features.tolist()]


def test_one_feature_per_frame_in_order(clip: Path) -> None:
    found = extract(clip, MeanBackbone(), BoxDetector(FACE), batch=4)
    assert levels(found) == list(range(COUNT))
    assert found.features.dtype == np.float32
    assert (found.decoded, found.with_face, found.several_faces) == (COUNT, COUNT, 0)
    assert found.spec == "mini-xception/1/1"


@pytest.mark.parametrize("batch", [1, 2, 5, 11, 50])
def test_batch_size_changes_nothing(clip: Path, batch: int) -> None:
    detector = BoxDetector(FACE)
    found = extract(clip, MeanBackbone(), detector, batch=batch)
    assert levels(found) == list(range(COUNT))
    assert max(detector.batches) <= batch


def test_frames_without_a_face_have_no_feature(clip: Path) -> None:
    found = extract(clip, MeanBackbone(), BoxDetector(FACE, dark=100), batch=4)
    assert levels(found) == [7, 8, 9, 10]
    assert (found.decoded, found.with_face) == (COUNT, 4)


def test_largest_of_several_faces_is_used(clip: Path) -> None:
    frame = np.full((48, 64, 3), 20, dtype=np.uint8)
    frame[:, 32:] = 200
    path = write_video(clip.with_name("two.mp4"), [frame] * 3)
    small, large = upright_face(4, 4, 14, 14), upright_face(40, 8, 60, 28)
    found = extract(path, MeanBackbone(), BoxDetector(small, large))
    assert found.several_faces == 3
    assert np.abs(found.features - 200).max() < 5


def test_every_and_max_frames(clip: Path) -> None:
    found = extract(clip, MeanBackbone(), BoxDetector(FACE), every=3, max_frames=2)
    assert levels(found) == [0, 3]
    with pytest.raises(UsageError):
        extract(clip, MeanBackbone(), BoxDetector(FACE), every=0)


def test_no_face_at_all_is_named(clip: Path) -> None:
    backbone = MeanBackbone()
    with pytest.raises(ClipError) as caught:
        extract(clip, backbone, BoxDetector())
    assert caught.value.reason is Reason.NO_FACE
    assert backbone.calls == 0


def test_faults_of_the_file_come_through(tmp_path: Path) -> None:
    with pytest.raises(ClipError) as caught:
        extract(tmp_path / "none.mp4", MeanBackbone(), BoxDetector(FACE))
    assert caught.value.reason is Reason.MISSING


def test_no_more_than_a_batch_is_decoded_ahead(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    plain = module.frames

    def counted(path: Path, **options: int | None) -> Iterator[Image]:
        nonlocal decoded
        for image in plain(path, **options):  # type: ignore[arg-type]
            decoded += 1
            yield image

    class Watching(BoxDetector):
        def detect(self, frames: list[Image]) -> list:  # type: ignore[type-arg, override]
            assert decoded == sum(self.batches) + len(frames)
            return super().detect(frames)

    monkeypatch.setattr(module, "frames", counted)
    extract(clip, MeanBackbone(), Watching(FACE), batch=2)
    assert decoded == COUNT


@pytest.mark.parametrize(
    "bad",
    [
        {"features": np.zeros((2, 3))},
        {"features": np.zeros(3, np.float32)},
        {"with_face": 3},
        {"decoded": 1},
        {"several_faces": 3},
        {"features": np.zeros((0, 3), np.float32), "with_face": 0},
    ],
)
def test_inconsistent_features_are_refused(bad: dict[str, object]) -> None:
    good: dict[str, object] = {
        "features": np.zeros((2, 3), np.float32),
        "decoded": 4,
        "with_face": 2,
        "several_faces": 1,
        "spec": "x/1/1",
    }
    ClipFeatures(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"features|counts"):
        ClipFeatures(**(good | bad))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "every", "count"),
    [("01-01-08-02-01-01-19.mp4", 3, 41), ("WolfgangLanger_Pexels.mp4", 8, 59)],
)
def test_real_faces_give_features(name: str, every: int, count: int) -> None:
    found = extract(shared_video(name), load("mini-xception"), MtcnnDetector(), every=every)
    assert found.decoded == count
    assert found.with_face >= 0.95 * count
    assert found.several_faces == 0
    assert np.isfinite(found.features).all()
    assert found.features.std(axis=0).max() > 0.01


def test_real_clip_without_a_face_is_named() -> None:
    with pytest.raises(ClipError) as caught:
        extract(shared_video("no_face.mp4"), load("mini-xception"), MtcnnDetector(), every=4)
    assert caught.value.reason is Reason.NO_FACE


def test_same_bytes_again_and_nearly_so_with_more_threads() -> None:
    path = shared_video("01-01-08-02-01-01-19.mp4")
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 1, 2):
            torch.set_num_threads(threads)
            tools = load("mini-xception"), MtcnnDetector()
            results.append(extract(path, *tools, every=12).features)
    finally:
        torch.set_num_threads(before)
    assert results[0].tobytes() == results[1].tobytes()
    assert np.abs(results[0] - results[2]).max() < 1e-5
