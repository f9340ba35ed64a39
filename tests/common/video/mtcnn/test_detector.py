"""The detector against facenet-pytorch's, on real clips and on synthetic actors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from facenet_pytorch import MTCNN

from common.video import Image
from common.video.decode import frames
from common.video.faces import Box, Face, MtcnnSettings, largest, reduce_frame
from common.video.mtcnn.detector import FastMtcnn
from common.video.tracking import FacePlacer, intersection_over_union, plausible
from simulations.actors.clips import take_frames
from simulations.actors.plan import ClipPlan
from tests.support import shared_video

SETTINGS = MtcnnSettings()
WOMAN = "WolfgangLanger_Pexels.mp4"
RAVDESS = "01-01-08-02-01-01-19.mp4"


@pytest.fixture(scope="module")
def detector() -> FastMtcnn:
    return FastMtcnn()


@pytest.fixture(scope="module")
def oracle() -> Callable[[Image], list[Box]]:
    network = MTCNN(
        keep_all=True,
        min_face_size=SETTINGS.smallest_face,
        factor=SETTINGS.factor,
        thresholds=list(SETTINGS.thresholds),
    )

    def boxes(frame: Image) -> list[Box]:
        reduced = reduce_frame(frame, SETTINGS.longer_side)
        found, _ = network.detect(reduced)
        scale = frame.shape[1] / reduced.shape[1]
        return [] if found is None else [Box(*box) for box in (found * scale).tolist()]

    return boxes


@pytest.fixture(scope="module")
def woman() -> list[Image]:
    return list(frames(shared_video(WOMAN), every=90, max_frames=5))


@pytest.fixture(scope="module")
def actors() -> list[Image]:
    """Synthetic faces: three takes of each of four actors."""
    plan = ClipPlan(frames=2)
    names = [plan.clips(actor)[take] for actor in (1, 2, 11, 24) for take in (0, 20, 59)]
    return [next(take_frames(7, name.take, plan)) for name in names]


def check_close(found: Sequence[list[Face]], expected: Sequence[list[Box]]) -> None:
    assert [len(faces) for faces in found] == [1] * len(expected)
    assert [len(boxes) for boxes in expected] == [1] * len(expected)
    for (face,) in found:
        assert plausible(face.landmarks, face.box)
        assert face.probability > 0.9
    pairs = zip(found, expected, strict=True)
    overlaps = [intersection_over_union(face.box, box) for (face,), (box,) in pairs]
    # The oracle's boxes in reduced and in full-size frames overlap by 0.88 to 0.97.
    assert min(overlaps) >= 0.8
    assert np.median(overlaps) >= 0.9


@pytest.mark.parametrize(("name", "every"), [(WOMAN, 60), (RAVDESS, 15)])
def test_same_faces_as_the_oracles_in_real_clips(
    detector: FastMtcnn, oracle: Callable[[Image], list[Box]], name: str, every: int
) -> None:
    images = list(frames(shared_video(name), every=every, max_frames=8))
    check_close(detector.detect(images), [oracle(image) for image in images])


def test_same_faces_as_the_oracles_in_synthetic_ones(
    detector: FastMtcnn, oracle: Callable[[Image], list[Box]], actors: list[Image]
) -> None:
    check_close(detector.detect(actors), [oracle(image) for image in actors])


def test_landmarks_are_the_oracles(detector: FastMtcnn, actors: list[Image]) -> None:
    network = MTCNN(keep_all=True, min_face_size=40, factor=0.6)
    for image, (face,) in zip(actors, detector.detect(actors), strict=True):
        *_, marks = network.detect(image, landmarks=True)
        side = face.box.right - face.box.left
        assert np.abs(np.array(face.landmarks) - marks[0]).max() < 0.06 * side


def test_coordinates_are_those_of_the_full_frame(detector: FastMtcnn, actors: list[Image]) -> None:
    # 240 pixels are not reduced; 480 are, to the very same picture
    doubled = actors[0].repeat(2, axis=0).repeat(2, axis=1)
    (plain,), (twice,) = detector.detect([actors[0], doubled])
    assert np.allclose(twice.box, np.multiply(plain.box, 2), atol=1e-3)
    assert np.allclose(twice.landmarks, np.multiply(plain.landmarks, 2), atol=1e-3)


def test_known_face_is_placed_where_it_is_found(detector: FastMtcnn, actors: list[Image]) -> None:
    for image in actors[::3]:
        (face,) = detector.detect([image])[0]
        (placed,) = detector.place(image, [face])
        assert intersection_over_union(placed.box, face.box) > 0.85
        assert placed.probability > 0.9
        assert plausible(placed.landmarks, placed.box)


def test_placing_follows_a_face_that_has_moved(detector: FastMtcnn, actors: list[Image]) -> None:
    (face,) = detector.detect([actors[0]])[0]
    step = round(0.1 * (face.box.right - face.box.left))
    shifted = np.roll(actors[0], step, axis=1)
    (placed,) = detector.place(shifted, [face])
    centre = (face.box.left + face.box.right) / 2 + step
    assert (placed.box.left + placed.box.right) / 2 == pytest.approx(centre, abs=0.5 * step)
    assert placed.probability > 0.9


def test_faces_are_placed_in_their_order_and_none_is_left_out(
    detector: FastMtcnn, actors: list[Image]
) -> None:
    both = np.concatenate([actors[0], np.full_like(actors[0], 90), actors[3]], axis=1)
    (left,) = detector.detect([actors[0]])[0]
    nowhere = Face(Box(300, 60, 420, 180), left.landmarks, 1.0)
    first, second, third = detector.place(both, [nowhere, left, nowhere])
    assert second.probability > 0.9
    assert max(first.probability, third.probability) < 0.5
    assert detector.place(both, []) == []


def test_every_one_of_several_faces_is_found(detector: FastMtcnn, actors: list[Image]) -> None:
    small = cv2.resize(actors[3], (160, 160), interpolation=cv2.INTER_AREA)
    canvas = np.full((240, 400, 3), 90, np.uint8)
    canvas[:, :240], canvas[40:200, 240:] = actors[0], small
    (faces,) = detector.detect([canvas])
    assert len(faces) == 2
    assert largest(faces).box.right < 240


def test_frames_of_several_sizes_are_not_mixed_up(detector: FastMtcnn, actors: list[Image]) -> None:
    grey = np.full((70, 90, 3), 128, np.uint8)
    small = np.asarray(cv2.resize(actors[1], (120, 120), interpolation=cv2.INTER_AREA))
    mixed = [actors[0], grey, small, actors[0]]
    together = detector.detect(mixed)
    assert [len(faces) for faces in together] == [1, 0, 1, 1]
    assert together == [detector.detect([image])[0] for image in mixed]


def test_face_in_a_low_frame_is_found(detector: FastMtcnn, actors: list[Image]) -> None:
    """A frame so wide that, reduced, it is lower than the smallest face searched for."""
    (face,) = detector.detect([actors[0]])[0]
    top, bottom = round(face.box.top) - 25, round(face.box.bottom) + 25
    wide = np.full((bottom - top, 7 * (bottom - top), 3), 90, np.uint8)
    wide[:, 300:540] = actors[0][top:bottom]
    assert reduce_frame(wide, SETTINGS.longer_side).shape[0] < SETTINGS.smallest_face
    (found,) = detector.detect([wide])
    assert len(found) == 1
    assert 300 < found[0].box.left < found[0].box.right < 540


def test_nothing_is_found_in_nothing(detector: FastMtcnn) -> None:
    assert detector.detect([]) == []
    sizes = [(240, 240), (48, 64), (21, 300), (20, 20), (15, 400), (8, 8), (1, 1), (1, 1000)]
    grey = [np.full((*size, 3), 128, np.uint8) for size in sizes]
    assert detector.detect(grey) == [[]] * len(sizes)


def test_no_face_in_noise(detector: FastMtcnn) -> None:
    random = np.random.default_rng(1)
    fine = [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((240, 240), (90, 31))]
    assert detector.detect(fine) == [[], []]
    for height, width in random.integers(20, 160, (10, 2)):
        rough = random.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        image = np.asarray(cv2.resize(rough, (int(width), int(height)), interpolation=2), np.uint8)
        (faces,) = detector.detect([image])
        assert all(face.box.area > 0 and 0.7 < face.probability <= 1 for face in faces)


def test_no_face_in_the_animated_title(detector: FastMtcnn) -> None:
    title = list(frames(shared_video("no_face.mp4"), every=12, max_frames=8))
    assert detector.detect(title) == [[]] * len(title)


def test_it_is_a_face_placer(detector: FastMtcnn) -> None:
    placer: FacePlacer = detector
    assert placer.detect([]) == []
