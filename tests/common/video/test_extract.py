from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.backbones.registry import load
from common.errors import UsageError
from common.video import PREPROCESSING_VERSION, Image
from common.video.decode import ClipError, Reason
from common.video.extract import ClipFeatures, extract
from common.video.faces import Face
from common.video.mtcnn.detector import FastMtcnn
from common.video.tracking import EveryFrame, Tracker
from tests.common.video.clips import flat_images, write_video
from tests.common.video.fakes import BoxDetector, MeanBackbone, upright_face
from tests.support import shared_video

COUNT = 11
FACE = upright_face(8, 8, 40, 40)


def boxes(*faces: Face, dark: float = -1.0) -> EveryFrame:
    return EveryFrame(BoxDetector(*faces, dark=dark))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", flat_images(COUNT))


def levels(clip: ClipFeatures) -> list[int]:
    """Number of each frame, read back from its feature."""
    assert clip.features.shape[1] == 128
    return [round((row[0] - 10) / 15) for row in clip.features.tolist()]


def test_one_feature_per_frame_in_order(clip: Path) -> None:
    found = extract(clip, MeanBackbone(), boxes(FACE), batch=4)
    assert levels(found) == list(range(COUNT))
    assert found.features.dtype == np.float32
    assert (found.decoded, found.with_face, found.several_faces) == (COUNT, COUNT, 0)
    assert found.spec == f"mini-xception/1/{PREPROCESSING_VERSION}"


@pytest.mark.parametrize("batch", [1, 2, 5, 11, 50])
def test_batch_size_changes_nothing(clip: Path, batch: int) -> None:
    detector = BoxDetector(FACE)
    found = extract(clip, MeanBackbone(), EveryFrame(detector), batch=batch)
    assert levels(found) == list(range(COUNT))
    assert max(detector.batches) <= batch


def test_frames_without_a_face_have_no_feature(clip: Path) -> None:
    found = extract(clip, MeanBackbone(), boxes(FACE, dark=100), batch=4)
    assert levels(found) == [7, 8, 9, 10]
    assert (found.decoded, found.with_face) == (COUNT, 4)


def test_largest_of_several_faces_is_used(clip: Path) -> None:
    frame = np.full((48, 64, 3), 20, dtype=np.uint8)
    frame[:, 32:] = 200
    path = write_video(clip.with_name("two.mp4"), [frame] * 3)
    small, large = upright_face(4, 4, 14, 14), upright_face(40, 8, 60, 28)
    found = extract(path, MeanBackbone(), boxes(small, large))
    assert found.several_faces == 3
    assert np.abs(found.features - 200).max() < 5


def test_every_and_max_frames(clip: Path) -> None:
    found = extract(clip, MeanBackbone(), boxes(FACE), every=3, max_frames=2)
    assert levels(found) == [0, 3]
    with pytest.raises(UsageError):
        extract(clip, MeanBackbone(), boxes(FACE), every=0)


def test_no_face_at_all_is_named(clip: Path) -> None:
    backbone = MeanBackbone()
    with pytest.raises(ClipError) as caught:
        extract(clip, backbone, boxes())
    assert caught.value.reason is Reason.NO_FACE
    assert backbone.calls == 0


def test_faults_of_the_file_come_through(tmp_path: Path) -> None:
    with pytest.raises(ClipError) as caught:
        extract(tmp_path / "none.mp4", MeanBackbone(), boxes(FACE))
    assert caught.value.reason is Reason.MISSING


@pytest.mark.parametrize(("margin", "share"), [(0.0, 1.0), (0.5, 0.25)])
def test_backbone_says_how_much_it_wants_to_see_of_what_is_around(
    clip: Path, margin: float, share: float
) -> None:
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    frame[16:32, 16:32] = 240
    path = write_video(clip.with_name("margin.mp4"), [frame] * 2)
    backbone = MeanBackbone()
    backbone.record = replace(backbone.record, margin=margin)
    found = extract(path, backbone, boxes(upright_face(16, 16, 32, 32)))
    assert np.abs(found.features / 240 - share).max() < 0.05


def test_wanted_user_is_chosen_though_another_is_larger(clip: Path) -> None:
    frame = np.full((48, 64, 3), 20, dtype=np.uint8)
    frame[:, 32:] = 200
    path = write_video(clip.with_name("wanted.mp4"), [frame] * 3)
    small, large = upright_face(4, 4, 14, 14), upright_face(40, 8, 60, 28)
    asked = []

    def wanted(image: Image, face: Face) -> bool:
        asked.append(image.shape)
        return face == small

    found = extract(path, MeanBackbone(), boxes(large, small), wanted=wanted)
    assert np.abs(found.features - 20).max() < 5
    assert (found.with_face, found.several_faces) == (3, 3)
    assert asked == [(48, 64, 3)] * 2
    with pytest.raises(ClipError, match="face"):
        extract(path, MeanBackbone(), boxes(large, small), wanted=lambda image, face: False)


@pytest.mark.parametrize("bad", [{"every": 0}, {"every": -2}, {"max_frames": 0}])
def test_ranges_are_checked(clip: Path, bad: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        extract(clip, MeanBackbone(), boxes(FACE), **bad)  # type: ignore[arg-type]


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
    tools = load("mini-xception"), Tracker(FastMtcnn())
    found = extract(shared_video(name), *tools, every=every)
    assert found.decoded == count
    assert found.with_face >= 0.95 * count
    assert found.several_faces == 0
    assert np.isfinite(found.features).all()
    assert found.features.std(axis=0).max() > 0.01


def test_real_clip_without_a_face_is_named() -> None:
    tools = load("mini-xception"), Tracker(FastMtcnn())
    with pytest.raises(ClipError) as caught:
        extract(shared_video("no_face.mp4"), *tools, every=4)
    assert caught.value.reason is Reason.NO_FACE


def test_same_bytes_again_and_nearly_so_with_more_threads() -> None:
    path = shared_video("01-01-08-02-01-01-19.mp4")
    results = []
    for threads in (1, 1, 2):
        tools = load("mini-xception", threads=threads), Tracker(FastMtcnn(threads=threads))
        results.append(extract(path, *tools, every=6).features)
    assert results[0].tobytes() == results[1].tobytes()
    assert np.abs(results[0] - results[2]).max() < 1e-3
