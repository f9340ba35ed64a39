"""A square, upright crop of one face.

A similarity transform (rotation, scale, shift; no shear) turns the line through the eyes
horizontal about the centre of the box and maps the box, made square along its longer side and
widened by a margin, to the crop.  With level eyes it is the plain crop of that square.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from common.video import Image
from common.video.faces import Box, Face, Landmarks

_MOST_OVERSAMPLING: Final = 16
MARGIN: Final = 0.1
"""Share of the box side added on each side.  The fer package adds 10 pixels whatever the face's
size, a tenth for the face of about 100 pixels that it was made for."""


def align_face(frame: Image, face: Face, size: int, *, margin: float = MARGIN) -> Image:
    """Cut out and level `face`.

    Args:
        frame: (height, width, 3) uint8.
        face: in the frame's coordinates; its box may reach outside.
        size: side of the crop in pixels, at least 1.
        margin: share of the box side added on each side, 0 or more.

    Returns:
        (size, size, 3) uint8.  What lies outside the frame has the mean colour of the frame's
        last two rows (as in the fer package, where the chest or the background usually is).

    Raises:
        ValueError: the box has no area, or `size` or `margin` is out of range.
    """
    if size < 1 or margin < 0:
        raise ValueError(f"size is {size} and margin {margin}, expected at least 1 and at least 0")
    side = _square_side(face.box) * (1 + 2 * margin)
    # A crop smaller than the face is first cut out at about the face's own size and then
    # averaged down: bilinear sampling alone would skip pixels.
    oversampling = min(max(1, math.floor(side / size)), _MOST_OVERSAMPLING)
    fine = size * oversampling
    matrix = face_transform(face, fine, side)
    border = [float(value) for value in frame[-2:].reshape(-1, 3).mean(axis=0)]
    cut = cv2.warpAffine(
        frame,
        matrix,
        (fine, fine),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=border,
    )
    if oversampling > 1:
        cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
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


def face_transform(face: Face, size: int, side: float) -> npt.NDArray[np.float64]:
    """Matrix (2, 3) from frame pixels to pixels of a crop of `size` that shows `side` pixels.

    Both count pixel centres (the first is 0, as OpenCV does), while boxes count pixel edges.
    """
    scale = size / side
    angle = roll(face.landmarks)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    centre = np.array([(face.box.left + face.box.right) / 2, (face.box.top + face.box.bottom) / 2])
    shift = size / 2 - 0.5 - turn @ (centre - 0.5)
    return np.column_stack([turn, shift])


def _square_side(box: Box) -> float:
    side = max(box.right - box.left, box.bottom - box.top)
    if box.area <= 0 or not math.isfinite(side):
        raise ValueError(f"a face needs a box with an area, not {tuple(box)}")
    return side
