from __future__ import annotations

from itertools import islice

import cv2
import numpy as np
import pytest

from common.video import Image
from common.video.decode import frames
from common.video.faces import (
    Box,
    Face,
    MtcnnDetector,
    MtcnnSettings,
    largest,
    reduce_frame,
)
from tests.common.video.fakes import upright_face
from tests.support import shared_video

WOMAN = "WolfgangLanger_Pexels.mp4"


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    return MtcnnDetector(MtcnnSettings(batch=3))


@pytest.fixture(scope="module")
def woman() -> list[Image]:
    return list(frames(shared_video(WOMAN), every=100, max_frames=4))


def centre(box: Box) -> tuple[float, float]:
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def test_largest_face_is_the_one_with_the_largest_box() -> None:
    small, large = upright_face(0, 0, 30, 30), upright_face(50, 5, 90, 60)
    assert largest([small, large]) is large
    assert largest([large, small]) is large


def test_equal_faces_are_told_apart_by_probability_then_place() -> None:
    left, right = upright_face(0, 0, 30, 30), upright_face(40, 0, 70, 30)
    likely = Face(right.box, right.landmarks, 0.999)
    assert largest([left, likely]) is likely
    assert largest([right, left]) is left


def test_no_face_has_no_largest() -> None:
    with pytest.raises(ValueError, match="empty"):
        largest([])


def test_area_of_an_inverted_box_is_zero() -> None:
    assert Box(0, 0, 4, 5).area == 20
    assert Box(10, 10, 5, 5).area == 0


@pytest.mark.parametrize(
    "bad", [{"smallest_face": 19}, {"smallest_face": 241}, {"factor": 1.0}, {"batch": 0}]
)
def test_settings_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        MtcnnSettings(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "reduced"),
    [((720, 1280), (135, 240)), ((1000, 100), (240, 24)), ((90, 60), (90, 60))],
)
def test_frames_are_reduced_never_enlarged(
    shape: tuple[int, int], reduced: tuple[int, int]
) -> None:
    assert reduce_frame(np.zeros((*shape, 3), np.uint8), 240).shape == (*reduced, 3)


def test_nothing_is_found_in_nothing(detector: MtcnnDetector) -> None:
    assert detector.detect([]) == []
    sizes = [(240, 240), (48, 64), (21, 300), (8, 8), (1, 1)]
    grey = [np.full((*size, 3), 128, np.uint8) for size in sizes]
    assert detector.detect(grey) == [[]] * len(sizes)


def test_noise_does_no_harm(detector: MtcnnDetector) -> None:
    random = np.random.default_rng(1)
    for height, width in random.integers(20, 160, (10, 2)):
        rough = random.integers(0, 256, (2, 5, 5, 3), dtype=np.uint8)
        pair = [cv2.resize(x, (int(width), int(height)), interpolation=2) for x in rough]
        assert len(detector.detect(pair)) == 2  # type: ignore[arg-type]


def test_face_is_found_where_it_is(detector: MtcnnDetector, woman: list[Image]) -> None:
    for faces in detector.detect(woman):
        (face,) = faces
        assert face.probability > 0.9
        x, y = centre(face.box)
        assert 260 < x < 640
        assert 60 < y < 300
        eyes = face.landmarks.left_eye, face.landmarks.right_eye
        assert face.box.left < eyes[0].x < face.landmarks.nose.x < eyes[1].x < face.box.right
        assert max(eye.y for eye in eyes) < face.landmarks.nose.y < face.landmarks.left_mouth.y


def test_coordinates_are_those_of_the_full_frame(
    detector: MtcnnDetector, woman: list[Image]
) -> None:
    doubled = cv2.resize(woman[0], None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    (plain,), (twice,) = detector.detect([woman[0], np.asarray(doubled, np.uint8)])
    # the reduced pictures are equal: doubled pixels average to what single ones do
    assert np.allclose(twice.box, np.multiply(plain.box, 2), atol=0.5)
    assert np.allclose(twice.landmarks, np.multiply(plain.landmarks, 2), atol=0.5)


def test_batches_do_not_mix_up_frames(detector: MtcnnDetector, woman: list[Image]) -> None:
    grey = np.full_like(woman[0], 128)
    small = np.asarray(cv2.resize(woman[1], (320, 180)), np.uint8)
    mixed = [woman[0], grey, small, woman[2], woman[2], grey, woman[3]]
    together = detector.detect(mixed)
    assert [len(faces) for faces in together] == [1, 0, 1, 1, 1, 0, 1]
    for frame, (face,) in ((mixed[i], together[i]) for i in (0, 2, 3, 6)):
        ((alone,),) = detector.detect([frame])
        assert np.allclose(alone.box, face.box, atol=0.01)


def test_several_faces_are_all_found(detector: MtcnnDetector, woman: list[Image]) -> None:
    canvas = np.full((360, 640, 3), 90, np.uint8)
    canvas[:, 320:] = woman[3][:, 320:]
    canvas[:180, :320] = cv2.resize(woman[3], (320, 180), interpolation=cv2.INTER_AREA)
    (faces,) = MtcnnDetector(MtcnnSettings(smallest_face=20)).detect([canvas])
    assert len(faces) == 2
    assert centre(largest(faces).box)[0] > 320


def test_no_face_in_the_animated_title(detector: MtcnnDetector) -> None:
    title = list(islice(frames(shared_video("no_face.mp4"), every=12), 8))
    assert detector.detect(title) == [[]] * 8
