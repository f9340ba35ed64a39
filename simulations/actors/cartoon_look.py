"""What a person's avatar looks like: other proportions, large eyes and few, strong colours."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from common.randomness import generator
from simulations.actors.anatomy import Anatomy
from simulations.actors.curves import Points, closed_curve, mirrored
from simulations.actors.drawing import Colour
from simulations.actors.identity import Identity

LONG_HAIR: Final = ("bob", "long", "curly", "afro", "pageboy")
_BACKDROPS: Final = ((126, 178, 214), (236, 176, 126), (150, 196, 150), (196, 160, 210))
_EYE_SIZE: Final = 1.62


@dataclass(frozen=True)
class Look:
    """An avatar's constant part.

    Attributes:
        identity: the person's, with an avatar's proportions and colours.
        anatomy: landmarks of it.
        backdrop: colour behind.
        line: colour of outlines.
        shirt: colour.
    """

    identity: Identity
    anatomy: Anatomy
    backdrop: Colour
    line: Colour
    shirt: Colour


def avatar_look(identity: Identity) -> Look:
    """The look of a person's avatar; a function of the person only."""
    random = generator(identity.texture, "avatar look")
    drawn = replace(
        identity,
        skin=vivid(identity.skin, 1.25, 1.12),
        hair=vivid(identity.hair, 1.7, 1.25),
        iris=vivid(identity.iris, 1.8, 1.5),
        lips=vivid(identity.lips, 1.35, 1.0),
        head_width=1.1 * identity.head_width,
        eye_size=_EYE_SIZE * identity.eye_size,
        brow_height=identity.brow_height - 0.085,
        brow_thickness=1.1 * identity.brow_thickness,
        mouth_width=0.84 * identity.mouth_width,
        asymmetry=0.0,
    )
    a = Anatomy.of(drawn)
    anatomy = replace(
        a,
        outline=outline(drawn),
        eye_x=1.1 * a.eye_x,
        eye_half_width=0.74 * a.eye_half_width,
        nose_y=0.36,
        mouth_y=a.mouth_y + 0.015,
    )
    return Look(
        drawn,
        anatomy,
        _BACKDROPS[int(random.integers(len(_BACKDROPS)))],
        vivid(identity.hair, 1.0, 0.35),
        vivid(identity.shirt, 2.2, 1.7),
    )


def vivid(colour: Colour, saturation: float, value: float) -> Colour:
    """The colour with saturation and value multiplied, each cut to its range."""
    h, s, v = colorsys.rgb_to_hsv(*(min(part, 255.0) / 255 for part in colour))
    r, g, b = colorsys.hsv_to_rgb(h, min(1.0, s * saturation), min(1.0, v * value))
    return 255 * r, 255 * g, 255 * b


def outline(identity: Identity, jaw: float = 0.0) -> Points:
    """The head's closed outline: wide cheeks, a small chin that falls with the jaw (0..1)."""
    width, chin = identity.head_width, 0.8 + 0.2 * identity.chin_width
    fall = 0.16 * jaw
    half = np.array(
        [
            (0.16, -1.0),
            (0.46, -0.9),
            (0.66 * width, -0.62),
            (0.72 * width, -0.25),
            (0.72 * width, 0.12),
            (0.69 * width, 0.4),
            (0.57 * width, 0.66 + 0.4 * fall),
            (0.36 * width * identity.jaw_width, 0.85 + 0.8 * fall),
            (0.14 * chin, 0.94 + fall),
        ]
    )
    return closed_curve(mirrored(half), samples=8)
