"""An avatar's eyes, brows, mouth and the few lines that action units draw on its skin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from simulations.actors.brows import brow_curve
from simulations.actors.cartoon_look import Look
from simulations.actors.curves import Points, lowered, open_curve
from simulations.actors.drawing import Canvas, shade, tinted
from simulations.actors.eyes import lids
from simulations.actors.mouth import Lips, lips

_WHITE: Final = (250, 250, 250)
_BLUSH: Final = (232, 96, 96)
_SIDES: Final = ((1.0, 1.0), (-1.0, 1.0))
Units = Mapping[str, float]


def paint_features(canvas: Canvas, look: Look, units: Units, gaze: tuple[float, float]) -> None:
    """Blend all of the face's parts into flat skin."""
    paint_skin_lines(canvas, look, units)
    _paint_nose(canvas, look)
    for side in (1.0, -1.0):
        _paint_eye(canvas, look, units, side, gaze)
    _paint_brows(canvas, look, units)
    _paint_mouth(canvas, look, lips(look.identity, look.anatomy, units))


def paint_skin_lines(canvas: Canvas, look: Look, units: Units) -> None:
    """Folds as single strokes, the darker the stronger the action unit, and blushing cheeks."""
    a, line = look.anatomy, shade(look.identity.skin, 0.55)
    cheek = 0.12 + 0.5 * units["AU06"] + 0.3 * units["AU12"]
    nose, mouth, corner = a.nose_y, a.mouth_y, a.mouth_half_width
    strokes: list[tuple[float, list[tuple[float, float]]]] = [
        (units["AU04"], [(0.05, a.brow_y - 0.05), (0.055, a.brow_y + 0.07)]),
        (units["AU09"], [(0.03, 0.05), (0.1, 0.1)]),
        (units["AU09"], [(0.035, 0.13), (0.11, 0.17)]),
        (units["AU01"], [(0.0, a.brow_y - 0.17), (0.16, a.brow_y - 0.17)]),
        (units["AU10"], [(0.13, nose - 0.02), (corner + 0.05, mouth - 0.08)]),
        (units["AU12"], [(corner + 0.09, mouth - 0.2), (corner + 0.13, mouth - 0.07)]),
        (units["AU15"], [(corner + 0.03, mouth + 0.1), (corner + 0.05, mouth + 0.19)]),
        (units["AU14"], [(corner + 0.06, mouth - 0.03), (corner + 0.06, mouth + 0.04)]),
        (units["AU20"], [(corner + 0.15, mouth - 0.06), (corner + 0.17, mouth + 0.08)]),
        (units["AU17"], [(0.0, mouth + 0.17), (0.09, mouth + 0.2)]),
    ]
    for side in _SIDES:
        canvas.disc((side[0] * 0.45, 0.3), (0.13, 0.08), _BLUSH, alpha=min(cheek, 0.6), soft=0.03)
        for strength, points in strokes:
            if strength > 0.05:
                stroke = open_curve(np.array(points) * side)
                canvas.line(stroke, line, width=0.03, alpha=min(1.0, 1.3 * strength), soft=0.004)


def _paint_nose(canvas: Canvas, look: Look) -> None:
    y, dark = look.anatomy.nose_y, shade(look.identity.skin, 0.66)
    canvas.fill([(-0.02, y - 0.13), (0.075, y), (-0.045, y + 0.015)], dark, soft=0.006)


def _paint_eye(
    canvas: Canvas, look: Look, units: Units, side: float, gaze: tuple[float, float]
) -> None:
    edge = lids(look.identity, look.anatomy, units)
    upper, lower = edge.upper * (side, 1.0), edge.lower * (side, 1.0)
    opening = np.vstack([upper, lower[::-1]])
    if edge.openness > 0.03:
        canvas.fill(opening, _WHITE)
        centre = (edge.centre[0] * side + 1.5 * gaze[0], edge.centre[1] + 1.5 * gaze[1])
        _paint_iris(canvas, look, centre, opening)
        shadow = lowered(upper, 0.02)
        canvas.line(shadow, (120, 130, 160), width=0.035, alpha=0.5, clip=opening)
    width = 0.035 + 0.02 * look.identity.lashes
    canvas.line(upper, look.line, width=width, soft=0.003)
    canvas.line(lower[4:-2], look.line, width=0.016, alpha=0.7, soft=0.003)


def _paint_iris(canvas: Canvas, look: Look, centre: tuple[float, float], clip: Points) -> None:
    iris, radius = look.identity.iris, 0.075 * look.identity.eye_size
    canvas.disc(centre, radius, shade(iris, 0.45), clip=clip)
    below = (centre[0], centre[1] + 0.25 * radius)
    canvas.disc(below, (0.75 * radius, 0.6 * radius), iris, clip=clip)
    canvas.disc(centre, 0.45 * radius, (16, 14, 20), clip=clip)
    spark = (centre[0] - 0.35 * radius, centre[1] - 0.35 * radius)
    canvas.disc(spark, 0.28 * radius, _WHITE, clip=clip)
    canvas.disc((centre[0] + 0.35 * radius, centre[1] + 0.4 * radius), 0.14 * radius, _WHITE)


def _paint_brows(canvas: Canvas, look: Look, units: Units) -> None:
    middle = open_curve(brow_curve(look.identity, look.anatomy, units))
    half = np.interp(np.linspace(0, 1, len(middle)), (0, 0.4, 1), (0.036, 0.034, 0.01))
    half = half[:, None] * look.identity.brow_thickness * (0.0, 1.0)
    shape = np.vstack([middle - half, (middle + half)[::-1]])
    for side in _SIDES:
        canvas.fill(shape * side, shade(look.identity.hair, 0.75), soft=0.003)


def _paint_mouth(canvas: Canvas, look: Look, edges: Lips) -> None:
    lip, inner = look.identity.lips, edges.upper_inner
    canvas.fill(np.vstack([edges.lower_inner, edges.lower_outer[::-1]]), lip, alpha=0.75)
    canvas.fill(np.vstack([edges.upper_outer, inner[::-1]]), shade(lip, 0.85), alpha=0.75)
    opening = np.vstack([inner, edges.lower_inner[::-1]])
    if edges.gap > 0.012:
        canvas.fill(opening, (104, 28, 38))
        middle = edges.lower_inner[len(inner) // 2]
        tongue = (float(middle[0]), float(middle[1]))
        canvas.disc(tongue, (0.14, 0.4 * edges.gap), (226, 104, 108), clip=opening)
        canvas.fill(np.vstack([inner, lowered(inner, 0.055)[::-1]]), _WHITE, clip=opening)
        canvas.line(edges.lower_inner, look.line, width=0.014, alpha=0.6)
    dark = tinted(look.line, lip, 0.2)
    canvas.line(inner, dark, width=0.026, soft=0.003)
