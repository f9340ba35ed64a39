"""A square, upright crop of one face.

A similarity transform (rotation, scale, shift; no shear) turns the line through the eyes
horizontal and maps the face's square to the crop.  The square is a weighted mean of two estimates:
the square that the five landmarks of a frontal face would have, and the detector's box, made square
along its longer side.  MTCNN's box moves by a hundredth or two of its side from frame to frame and
with the way it was searched for; its landmarks, five points in place of one box, move half as much.
The box has its say because landmarks draw together as a face turns away.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from common.video import Image
from common.video.faces import Box, Face, Landmarks
from common.video.resize import halve

MARGIN: Final = 0.1
"""Share of the square's side added on each side.  The fer package adds 10 pixels whatever the
face's size, a tenth for the face of about 100 pixels that it was made for."""

_SIDE_BY_SPREAD: Final = 2.095
"""Side of the box over the landmarks' root of summed squared distances from their mean: medians
2.09 and 2.10 over the frames of a RAVDESS clip and of a film of a talking woman."""

_CENTRE_BY_SIDE: Final = -0.07
"""From the landmarks' mean to the box's centre, in sides, towards the chin; same two films
(-0.09 and -0.05)."""

_LANDMARKS_SHARE: Final = 0.75
"""Of 0.5, 0.75 and 1 all agree with a search in every full-size frame; more is closer."""

_MOST_HALVINGS: Final = 6


class _Square(NamedTuple):
    x: float
    y: float
    side: float


def align_face(frame: Image, face: Face, size: int, *, margin: float = MARGIN) -> Image:
    """Cut out and level `face`.

    Args:
        frame: (height, width, 3) uint8.
        face: in the frame's coordinates; its box may reach outside.
        size: side of the crop in pixels, at least 1.
        margin: share of the square's side added on each side, 0 or more.

    Returns:
        (size, size, 3) uint8.  What lies outside the frame has the mean colour of the frame's
        last two rows (as in the fer package, where the chest or the background usually is).

    Raises:
        ValueError: the box has no area, or `size` or `margin` is out of range.
    """
    if size < 1 or margin < 0:
        raise ValueError(f"size is {size} and margin {margin}, expected at least 1 and at least 0")
    matrix = face_transform(face, size, margin=margin)
    border = [float(value) for value in frame[-2:].reshape(-1, 3).mean(axis=0)]
    region, matrix = _region(frame, matrix, size)
    cut = cv2.warpAffine(
        region,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=border,
    )
    return np.asarray(cut, dtype=np.uint8)


def roll(landmarks: Landmarks) -> float:
    """Angle of the line through the eyes, radians, positive clockwise, in -pi/2..pi/2.

    0 where the eyes coincide: nothing can be said then.  The eyes are taken from left to right,
    so that swapped landmarks do not turn a face upside down.

    >>> from common.video.faces import Point
    >>> eyes = Point(10, 10), Point(20, 20)
    >>> round(math.degrees(roll(Landmarks(*eyes, *(Point(15, y) for y in (20, 30, 30))))))
    45
    """
    left, right = sorted((landmarks.left_eye, landmarks.right_eye))
    return math.atan2(right.y - left.y, right.x - left.x)


def face_transform(face: Face, size: int, *, margin: float = MARGIN) -> npt.NDArray[np.float64]:
    """Matrix (2, 3) from frame pixels to pixels of a crop of `size`.

    Both count pixel centres (the first is 0, as OpenCV does), while boxes count pixel edges.

    Raises:
        ValueError: the box has no area.
    """
    square = _square(face)
    scale = size / (square.side * (1 + 2 * margin))
    angle = roll(face.landmarks)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    shift = size / 2 - 0.5 - turn @ (np.array([square.x, square.y]) - 0.5)
    return np.column_stack([turn, shift])


def _square(face: Face) -> _Square:
    by_box, by_landmarks = _square_of_box(face.box), _square_of_landmarks(face.landmarks)
    share = _LANDMARKS_SHARE
    pairs = zip(by_landmarks, by_box, strict=True)
    return _Square(*(share * marks + (1 - share) * box for marks, box in pairs))


def _square_of_box(box: Box) -> _Square:
    side = max(box.right - box.left, box.bottom - box.top)
    if box.area <= 0 or not math.isfinite(side):
        raise ValueError(f"a face needs a box with an area, not {tuple(box)}")
    return _Square((box.left + box.right) / 2, (box.top + box.bottom) / 2, side)


def _square_of_landmarks(landmarks: Landmarks) -> _Square:
    points = np.array(landmarks)
    x, y = points.mean(axis=0)
    side = _SIDE_BY_SPREAD * math.sqrt(((points - (x, y)) ** 2).sum())
    angle, down = roll(landmarks), _CENTRE_BY_SIDE * side
    return _Square(x - down * math.sin(angle), y + down * math.cos(angle), side)


def _region(
    frame: Image, matrix: npt.NDArray[np.float64], size: int
) -> tuple[Image, npt.NDArray[np.float64]]:
    """The part of the frame that the crop shows, halved until one pixel makes about one.

    Bilinear sampling alone would skip pixels of a face that is larger than the crop.
    """
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    possible = min(_MOST_HALVINGS, math.floor(math.log2(min(frame.shape[:2]))))
    halvings = min(max(0, math.floor(-math.log2(scale))), possible)
    if not halvings:
        return frame, matrix
    left, top, right, bottom = _bounds(frame, matrix, size, 2**halvings)
    region = frame[top:bottom, left:right]
    for _ in range(halvings):
        region = halve(region)
    step = 2**halvings
    # Pixel centres: the first of the halved region lies (step - 1) / 2 to the right of the first.
    first = np.array([left, top]) + (step - 1) / 2
    return region, np.column_stack([matrix[:, :2] * step, matrix[:, :2] @ first + matrix[:, 2]])


def _bounds(
    frame: Image, matrix: npt.NDArray[np.float64], size: int, step: int
) -> tuple[int, int, int, int]:
    """Edges within the frame, a whole number of steps apart, at least one step each way."""
    corners = np.array([[-1, -1], [size, -1], [-1, size], [size, size]], dtype=float)
    source = np.linalg.solve(matrix[:, :2], (corners - matrix[:, 2]).T)
    edges = []
    for low, high, length in zip(
        source.min(axis=1) - step, source.max(axis=1) + step, frame.shape[1::-1], strict=True
    ):
        start = int(min(max(0, math.floor(low)), max(0, length - step)))
        stop = int(max(min(length, math.ceil(high)), start + step))
        edges.append((start, min(start + (stop - start) // step * step, length)))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom
