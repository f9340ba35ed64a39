from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.video import Image
from common.video.crop import align_face, face_transform, roll
from common.video.faces import Box, Face, Landmarks, Point
from tests.common.video.fakes import upright_face


def picture(height: int, width: int) -> Image:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth_picture(size: int) -> Image:
    rough = np.random.default_rng(6).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


def turned(face: Face, angle: float, about: tuple[float, float]) -> Face:
    """The same face with its landmarks turned clockwise by `angle`; the box stays."""
    cosine, sine = math.cos(angle), math.sin(angle)
    marks = (
        Point(
            about[0] + cosine * (p.x - about[0]) - sine * (p.y - about[1]),
            about[1] + sine * (p.x - about[0]) + cosine * (p.y - about[1]),
        )
        for p in face.landmarks
    )
    return Face(face.box, Landmarks(*marks), face.probability)


@given(left=st.integers(0, 60), top=st.integers(0, 30), size=st.integers(2, 40))
@settings(deadline=None)
def test_upright_face_of_the_crops_size_is_the_box_itself(left: int, top: int, size: int) -> None:
    frame = picture(80, 120)
    face = upright_face(left, top, left + size, top + size)
    expected = frame[top : top + size, left : left + size]
    assert np.array_equal(align_face(frame, face, size, margin=0), expected)


@given(left=st.integers(0, 20), top=st.integers(0, 20), times=st.integers(1, 6))
@settings(deadline=None)
def test_larger_upright_face_is_the_mean_of_blocks(left: int, top: int, times: int) -> None:
    frame = picture(80, 80)
    side = 10 * times
    crop = align_face(frame, upright_face(left, top, left + side, top + side), 10, margin=0)
    box = frame[top : top + side, left : left + side].astype(float)
    means = box.reshape(10, times, 10, times, 3).mean(axis=(1, 3))
    assert np.abs(crop - means).max() <= 0.51


def test_margin_shows_more_on_each_side() -> None:
    frame = picture(100, 100)
    crop = align_face(frame, upright_face(30, 40, 50, 60), 24, margin=0.1)
    assert np.array_equal(crop, frame[38:62, 28:52])


def test_oblong_box_becomes_square_about_its_centre() -> None:
    frame = picture(100, 100)
    crop = align_face(frame, upright_face(40, 30, 50, 60), 30, margin=0)
    assert np.array_equal(crop, frame[30:60, 30:60])


def test_outside_the_frame_is_the_colour_of_its_last_rows() -> None:
    frame = picture(40, 40)
    frame[-2:] = (10, 120, 230)
    crop = align_face(frame, upright_face(-10, -10, 10, 10), 20, margin=0)
    assert np.array_equal(crop[10:, 10:], frame[:10, :10])
    assert (crop[:10] == (10, 120, 230)).all()
    assert (crop[:, :10] == (10, 120, 230)).all()


@pytest.mark.parametrize("degrees", [-60, -20, 5, 37, 80])
def test_turned_face_comes_out_upright(degrees: int) -> None:
    frame = smooth_picture(200)
    face = upright_face(60, 60, 140, 140)
    upright = align_face(frame, face, 40)
    # OpenCV's positive angle is anticlockwise, about a pixel centre
    turn = cv2.getRotationMatrix2D((99.5, 99.5), -degrees, 1)
    turned_frame = np.asarray(cv2.warpAffine(frame, turn, (200, 200)), np.uint8)
    crop = align_face(turned_frame, turned(face, math.radians(degrees), (100, 100)), 40)
    difference = np.abs(crop.astype(int) - upright)
    assert difference.mean() < 2
    assert difference.max() < 25


@given(
    x=st.floats(-50, 300),
    y=st.floats(-50, 300),
    side=st.floats(5, 200),
    degrees=st.floats(-89, 89),
    size=st.integers(8, 128),
)
def test_eyes_are_level_and_the_centre_stays_in_the_centre(
    x: float, y: float, side: float, degrees: float, size: int
) -> None:
    upright = upright_face(x, y, x + side, y + side)
    face = turned(upright, math.radians(degrees), (x + side / 2, y + side / 2))
    matrix = face_transform(face, size, side)
    left, right, *_ = (matrix @ [mark.x - 0.5, mark.y - 0.5, 1] + 0.5 for mark in face.landmarks)
    assert left == pytest.approx([0.3 * size, 0.35 * size], abs=1e-6 * size)
    assert right == pytest.approx([0.7 * size, 0.35 * size], abs=1e-6 * size)


def test_swapped_eyes_do_not_turn_the_face_over() -> None:
    face = upright_face(0, 0, 10, 10)
    left, right, *others = face.landmarks
    assert roll(Landmarks(right, left, *others)) == roll(face.landmarks) == 0


def test_eyes_in_one_point_say_nothing() -> None:
    point = Point(3, 3)
    assert roll(Landmarks(point, point, point, point, point)) == 0


@pytest.mark.parametrize(
    "box", [Box(5, 5, 5, 9), Box(9, 5, 5, 9), Box(0, 0, math.nan, 5), Box(0, 0, math.inf, 5)]
)
def test_box_without_area_is_refused(box: Box) -> None:
    face = Face(box, upright_face(0, 0, 9, 9).landmarks, 1.0)
    with pytest.raises(ValueError, match="area"):
        align_face(picture(20, 20), face, 8)


@pytest.mark.parametrize(("size", "margin"), [(0, 0.1), (8, -0.1)])
def test_size_and_margin_are_checked(size: int, margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        align_face(picture(20, 20), upright_face(0, 0, 9, 9), size, margin=margin)
