"""Eyes: lids, eyeball and lashes, moved by AU01-07, AU09 and AU43."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulations.actors.anatomy import Anatomy
from simulations.actors.curves import Points, lowered, open_curve
from simulations.actors.drawing import Canvas, Colour, shade, tinted
from simulations.actors.identity import Identity

_ACROSS = np.array([-1.0, -0.58, -0.06, 0.52, 1.0])
_UPPER = np.array([0.0, 0.74, 1.0, 0.80, 0.0])
_LOWER = np.array([0.0, 0.62, 0.96, 0.92, 0.0])
_CLOSED_AT = 0.03


@dataclass(frozen=True)
class Lids:
    """Edges of the right-hand eye's lids from the inner to the outer corner, and the eye's centre.

    `openness` is 0 where the eye is closed.
    """

    upper: Points
    lower: Points
    centre: tuple[float, float]
    openness: float


def lids(identity: Identity, a: Anatomy, units: Mapping[str, float]) -> Lids:
    """Where the lids are."""
    w, scale = a.eye_half_width, identity.eye_size
    shut = min(1.0, units["AU43"] * 1.05)
    squint = 0.35 * units["AU07"] + 0.12 * units["AU06"] + 0.22 * units["AU09"]
    droop = 0.12 * units["AU04"] - 0.05 * (units["AU01"] + units["AU02"])
    top = 0.073 * scale * max(0.25, 1.0 + 0.6 * units["AU05"] - 0.75 * squint - droop)
    raised = 0.6 * units["AU07"] + 0.6 * units["AU06"] + 0.3 * units["AU09"]
    bottom = 0.043 * scale * max(-0.1, 1.0 + 0.1 * units["AU05"] - raised)
    corner = np.array([0.012, 0.008, 0.0, -0.004, -0.006]) - identity.eye_tilt * _ACROSS
    x = a.eye_x + w * _ACROSS
    middle = corner + _CLOSED_AT * scale * _LOWER
    upper = (1 - shut) * (corner - top * _UPPER) + shut * middle
    lower = (1 - shut) * (corner + bottom * _LOWER) + shut * middle
    return Lids(
        upper=open_curve(np.stack([x, upper], axis=1)),
        lower=open_curve(np.stack([x, lower], axis=1)),
        centre=(a.eye_x, -0.012),
        openness=1.0 - shut,
    )


def paint_lid_skin(
    canvas: Canvas, identity: Identity, a: Anatomy, units: Mapping[str, float]
) -> None:
    """Blend crease and lower lid into unlit skin."""
    edge = lids(identity, a, units)
    raised = 0.5 * (units["AU01"] + units["AU02"]) - 0.6 * units["AU04"]
    gap = 0.028 + 0.03 * (1 - edge.openness) + 0.012 * raised - 0.012 * units["AU05"]
    crease = lowered(edge.upper[3:-1], -max(gap, 0.008))
    bag = lowered(edge.lower[4:-3], 0.028)
    dark = tinted(shade(identity.skin, 0.5), (90, 40, 30), 0.25)
    bagged = 0.12 + 0.35 * units["AU06"] + 0.25 * units["AU07"] + 0.15 * identity.age
    for side in ((1.0, 1.0), (-1.0, 1.0)):
        canvas.line(crease * side, dark, width=0.018, alpha=0.65, soft=0.008)
        canvas.line(bag * side, dark, width=0.02, alpha=min(bagged, 0.7), soft=0.010)


def paint_eyes(
    canvas: Canvas,
    identity: Identity,
    a: Anatomy,
    units: Mapping[str, float],
    gaze: tuple[float, float],
    exposure: float,
) -> None:
    """Blend both eyeballs and lashes into the lit image; `exposure` scales their brightness."""
    edge = lids(identity, a, units)
    for side in (1.0, -1.0):
        _paint_eye(canvas, identity, edge, side, gaze, exposure)


def _paint_eye(
    canvas: Canvas,
    identity: Identity,
    edge: Lids,
    side: float,
    gaze: tuple[float, float],
    exposure: float,
) -> None:
    flip = (side, 1.0)
    upper, lower = edge.upper * flip, edge.lower * flip
    opening = np.vstack([upper, lower[::-1]])
    if edge.openness > 0.03:
        centre = (edge.centre[0] * side + gaze[0], edge.centre[1] + gaze[1])
        _paint_ball(canvas, identity, opening, centre, exposure)
        inner = (float(upper[0, 0]) + 0.016 * side, float(upper[0, 1]) + 0.002)
        canvas.disc(inner, 0.02, shade((196, 130, 122), exposure), alpha=0.7, clip=opening)
        shadow = lowered(upper, 0.012)
        canvas.line(shadow, (40, 26, 22), width=0.03, alpha=0.5, soft=0.012, clip=opening)
    lash = tinted((30, 20, 18), identity.hair, 0.2)
    thick = 0.012 + 0.014 * identity.lashes
    canvas.line(upper, lash, width=thick, alpha=0.6 + 0.3 * identity.lashes, soft=0.004)
    canvas.line(lower[3:], lash, width=0.01, alpha=0.3 + 0.2 * identity.lashes, soft=0.005)


def _paint_ball(
    canvas: Canvas,
    identity: Identity,
    opening: Points,
    centre: tuple[float, float],
    exposure: float,
) -> None:
    radius = 0.075 * identity.eye_size
    iris: Colour = shade(identity.iris, exposure)
    canvas.fill(opening, shade((226, 219, 214), 0.93 * exposure))
    canvas.disc(centre, radius, shade(iris, 0.42), soft=0.004, clip=opening)
    canvas.disc(centre, 0.82 * radius, iris, soft=0.008, clip=opening)
    glow = (centre[0], centre[1] + 0.4 * radius)
    lighter = tinted(iris, (255, 240, 210), 0.25)
    canvas.disc(glow, (0.55 * radius, 0.32 * radius), lighter, alpha=0.5, soft=0.012, clip=opening)
    canvas.disc(centre, 0.42 * radius, (14, 11, 10), soft=0.004, clip=opening)
    spark = (centre[0] - 0.3 * radius, centre[1] - 0.34 * radius)
    canvas.disc(spark, 0.017, (255, 255, 255), alpha=0.9, soft=0.004, clip=opening)
