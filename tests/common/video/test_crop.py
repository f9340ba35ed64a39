from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.video import Image
from common.video.crop import align_face, face_transform, roll
from common.video.faces import Box, Face, Landmarks, Point
from tests.common.video.fakes import upright_face


def picture(height: int, width: int) -> Image:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth_picture(size: int, bumps: int = 12) -> Image:
    rough = np.random.default_rng(6).integers(0, 256, (bumps, bumps, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


def slow_crop(frame: Image, face: Face, size: int) -> npt.NDArray[np.float64]:
    """The mean of 16 x 16 samples in each of the crop's pixels; outside the frame it is wrong."""
    fine = size * 16
    matrix = face_transform(face, fine)
    samples = np.asarray(cv2.warpAffine(frame, matrix, (fine, fine)), float)
    return np.asarray(samples.reshape(size, 16, size, 16, 3).mean(axis=(1, 3)))


def shown(frame: Image, face: Face, size: int) -> npt.NDArray[np.bool_]:
    """Which of the crop's pixels lie wholly in the frame, with a frame pixel's distance or two."""
    matrix = face_transform(face, size)
    row, column = np.indices((size, size))
    places = np.stack([column, row]).reshape(2, -1) - matrix[:, 2:]
    x, y = np.linalg.solve(matrix[:, :2], places).reshape(2, size, size)
    reach = 2 / math.hypot(matrix[0, 0], matrix[1, 0]) + 2
    height, width = frame.shape[:2]
    within = (x >= reach) & (x <= width - reach) & (y >= reach) & (y <= height - reach)
    return np.asarray(within)


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


@given(
    left=st.floats(-60, 160),
    top=st.floats(-60, 160),
    times=st.floats(0.5, 12),
    degrees=st.floats(-90, 90),
)
@settings(deadline=None, max_examples=50)
def test_crop_is_the_mean_over_each_pixels_area(
    left: float, top: float, times: float, degrees: float
) -> None:
    frame = smooth_picture(200, 5)
    side = 10 * times
    face = upright_face(left, top, left + side, top + side)
    face = turned(face, math.radians(degrees), (left + side / 2, top + side / 2))
    difference = np.abs(align_face(frame, face, 10) - slow_crop(frame, face, 10))
    inside = shown(frame, face, 10)
    assert difference[inside].max(initial=0) < 8


@pytest.mark.parametrize("side", [40, 57, 83, 128])
def test_no_pixel_of_a_large_face_is_skipped(side: int) -> None:
    rows, columns = np.indices((200, 200))
    board = np.repeat(((rows + columns) % 2 * 255)[..., None], 3, axis=2).astype(np.uint8)
    crop = align_face(board, upright_face(31, 33, 31 + side, 33 + side), 16, margin=0)
    assert np.abs(crop.astype(int) - 127).max() <= 1


def test_of_the_square_a_quarter_is_the_boxs_and_the_rest_the_landmarks() -> None:
    marks = upright_face(40, 40, 80, 80).landmarks
    # box: centre (68, 52), side 56; landmarks: centre (60, 60), side 40
    face = Face(Box(40, 24, 96, 80), marks, 1.0)
    centre, side = (62, 58), 44
    left, top, size = centre[0] - side // 2, centre[1] - side // 2, side
    frame = picture(120, 120)
    expected = frame[top : top + size, left : left + size]
    assert np.array_equal(align_face(frame, face, size, margin=0), expected)


def test_landmarks_of_a_turned_face_are_followed_along_its_own_axis() -> None:
    plain = upright_face(0, 0, 40, 40)
    lying = turned(plain, math.pi / 2 - 0.01, (20, 20))
    upright, side = face_transform(plain, 40, margin=0), face_transform(lying, 40, margin=0)
    centre = [20 - 0.5, 20 - 0.5, 1]
    assert upright @ centre == pytest.approx(side @ centre)
    assert np.linalg.det(upright[:, :2]) == pytest.approx(np.linalg.det(side[:, :2]))


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    x=st.floats(-300, 300),
    y=st.floats(-300, 300),
    side=st.floats(0.5, 1e5),
    size=st.integers(1, 64),
)
@settings(deadline=None)
def test_any_face_in_any_frame_can_be_cut(
    height: int, width: int, x: float, y: float, side: float, size: int
) -> None:
    frame = np.full((height, width, 3), (10, 120, 230), np.uint8)
    crop = align_face(frame, upright_face(x, y, x + side, y + side), size)
    assert crop.shape == (size, size, 3)
    assert np.abs(crop.astype(int) - (10, 120, 230)).max() <= 1


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
    margin=st.floats(0, 1),
)
def test_eyes_are_level_and_the_centre_stays_in_the_centre(
    x: float, y: float, side: float, degrees: float, size: int, margin: float
) -> None:
    upright = upright_face(x, y, x + side, y + side)
    face = turned(upright, math.radians(degrees), (x + side / 2, y + side / 2))
    matrix = face_transform(face, size, margin=margin)
    left, right, *_ = (matrix @ [mark.x - 0.5, mark.y - 0.5, 1] + 0.5 for mark in face.landmarks)
    assert left[1] == pytest.approx(right[1], abs=1e-6 * size)
    assert left[0] + right[0] == pytest.approx(size, abs=1e-6 * size)
    apart = size / side / (1 + 2 * margin)
    eyes = upright.landmarks.right_eye.x - upright.landmarks.left_eye.x
    assert right[0] - left[0] == pytest.approx(eyes * apart, rel=1e-6)
    middle = matrix @ [x + side / 2 - 0.5, y + side / 2 - 0.5, 1] + 0.5
    assert middle == pytest.approx([size / 2] * 2, abs=1e-6 * size)


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
