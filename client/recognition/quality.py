"""What may spoil an answer, measured on the faces that were read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from common.video import Image
from common.video.crop import roll
from common.video.faces import Box, Face

DARK: Final = 40.0
"""Mean level of the crop, 0..255.  On two real clips, darkened, who it is can be told down to about
10, but what is expressed is read differently long before."""
SMALL: Final = 64.0
"""Pixels of the face's side: what mini-Xception looks at; below, pixels are made up."""
TURNED: Final = 0.5
"""See `turn`: 30 degrees, where the far half of the face starts to foreshorten and hide."""
MOSTLY: Final = 0.5
"""Share of the frames that makes a fault the clip's."""
FEW: Final = 10
"""Frames: a third of a second, too short for an expression to come and go."""
BESIDE: Final = 0.25
"""Share of the subject's side from which on a second face counts; a picture behind it does not."""
MOMENT: Final = 0.05
"""Share of the frames, and at least `MOMENT_FRAMES`, in which several faces must be seen."""
MOMENT_FRAMES: Final = 3

_RED_GREEN_BLUE: Final = np.array([0.299, 0.587, 0.114])
_NOSE_DEPTH: Final = 0.5


class Glance(NamedTuple):
    """One face: mean level of its crop, its side in pixels, how far it is turned, faces beside."""

    level: float
    side: float
    turn: float
    faces: int


def glance(face: Face, crop: Image, others: Sequence[Face]) -> Glance:
    """What is measured of a face.

    Args:
        face: the subject's, in frame coordinates.
        crop: of it, RGB.
        others: all faces of the frame, the subject's too.
    """
    side = math.sqrt(face.box.area)
    level = float(crop.reshape(-1, 3).mean(axis=0) @ _RED_GREEN_BLUE)
    count = sum(math.sqrt(other.box.area) >= BESIDE * side for other in others)
    return Glance(level, side, turn(face), count)


def turn(face: Face) -> float:
    """Sine of how far a face looks to the side, about: 0 is straight ahead, 1 is in profile.

    The nose's tip stands out by about half the distance between the eyes (mean faces; Farkas's
    anthropometry), so at angle a it lies 0.5 tan(a) seen distances beside the middle of eyes and
    mouth.
    """
    marks = face.landmarks
    angle = roll(marks)
    points = np.array(marks) @ np.array([math.cos(angle), math.sin(angle)])
    left_eye, right_eye, nose, left_mouth, right_mouth = (float(point) for point in points)
    apart = abs(right_eye - left_eye)
    if apart <= 0:
        return 1.0
    middle = (left_eye + right_eye + left_mouth + right_mouth) / 4
    tangent = abs(nose - middle) / (_NOSE_DEPTH * apart)
    return tangent / math.hypot(1, tangent)


def relative_box(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    """The part of a box that is in the frame, as shares 0..1 of the frame's sides."""
    shares = box.left / width, box.top / height, box.right / width, box.bottom / height
    left, top, right, bottom = (min(max(share, 0.0), 1.0) for share in shares)
    return left, top, right, bottom


def faces_at_once(glances: Sequence[Glance]) -> int:
    """Most faces that were seen together for more than a moment; 0 where there is no glance."""
    if not glances:
        return 0
    falling = sorted((each.faces for each in glances), reverse=True)
    enough = min(len(falling), max(MOMENT_FRAMES, math.ceil(MOMENT * len(falling))))
    return falling[enough - 1]


def quality_warnings(
    glances: Sequence[Glance], *, frames: int, persons: int = 1
) -> tuple[str, ...]:
    """One sentence per fault.

    Args:
        glances: of the frames that show the subject, at least one.
        frames: that were looked at.
        persons: how many took turns as the subject.
    """
    level, side = (float(np.median([each[i] for each in glances])) for i in (0, 1))
    turned = sum(each.turn > TURNED for each in glances) / len(glances)
    at_once = faces_at_once(glances)
    told = {
        f"The face is dark (level {level:.0f} of 255); turn towards a light.": level < DARK,
        f"The face is small ({side:.0f} pixels); come nearer to the camera.": side < SMALL,
        f"The face is turned away in {turned:.0%} of its frames; look at the camera.": (
            turned >= MOSTLY
        ),
        f"Only {len(glances)} frame(s) show the face; record at least a second.": (
            len(glances) < FEW
        ),
        f"The face is missing from {frames - len(glances)} of {frames} frames.": (
            len(glances) < MOSTLY * frames
        ),
        f"{at_once} faces are in the picture; the largest one was read.": at_once > 1,
        "Another person takes a turn; only the one who fills most of it was read.": persons > 1,
    }
    return tuple(sentence for sentence, holds in told.items() if holds)
