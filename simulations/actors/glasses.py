"""Glasses: two lenses that shine a little, a bridge and the sides."""

from __future__ import annotations

from typing import Final

import numpy as np

from simulations.actors.anatomy import Anatomy
from simulations.actors.curves import Points, closed_curve, open_curve
from simulations.actors.drawing import Canvas, shade
from simulations.actors.identity import Identity

_WIDTH: Final = 0.03
_GLASS: Final = (236, 242, 250)


def rim(identity: Identity, a: Anatomy) -> Points:
    """Outline of the right-hand lens, closed."""
    x, y, across, down = a.eye_x + 0.01, 0.02, 1.3 * a.eye_half_width, 1.0 * a.eye_half_width
    if identity.glasses == "round":
        angle = np.linspace(0.0, 2 * np.pi, 36, endpoint=False)
        return np.stack([x + 1.08 * across * np.cos(angle), y + 1.2 * down * np.sin(angle)], axis=1)
    corners = [(-1.0, -0.75), (0.0, -0.95), (1.05, -0.8), (0.95, 0.7), (0.0, 0.95), (-0.85, 0.75)]
    return closed_curve([(x + across * u, y + down * v) for u, v in corners], samples=6)


def paint_glasses(canvas: Canvas, identity: Identity, a: Anatomy, exposure: float) -> None:
    """Blend glasses into the lit image; does nothing for who wears none."""
    if identity.glasses == "none":
        return
    lens, colour = rim(identity, a), shade(identity.frame, exposure)
    for side in ((1.0, 1.0), (-1.0, 1.0)):
        shape = lens * side
        canvas.fill(shape, _GLASS, alpha=0.08)
        around = np.roll(shape, -int(shape[:, 1].argmax()), axis=0)
        upper = around[around[:, 1] < 0.03]
        line = upper if identity.glasses == "half" else np.vstack([around, around[:1]])
        canvas.line(line, colour, width=_WIDTH, alpha=0.95, soft=0.004)
        edge = float(lens[:, 0].max())
        arm = np.array([(edge, -0.03), (0.70 * identity.head_width, -0.05)]) * side
        canvas.line(arm, colour, width=_WIDTH, alpha=0.9, soft=0.006)
    inner = float(lens[:, 0].min())
    bridge = open_curve([(-inner, 0.0), (0.0, -0.045), (inner, 0.0)])
    canvas.line(bridge, colour, width=_WIDTH, alpha=0.95, soft=0.004)
