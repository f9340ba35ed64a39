"""Eyebrows, moved by AU01, AU02, AU04 and AU09."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulations.actors.anatomy import Anatomy
from simulations.actors.curves import Points, open_curve
from simulations.actors.drawing import Canvas, shade, tinted
from simulations.actors.identity import Identity

_THICKNESS = np.array([0.026, 0.032, 0.028, 0.018, 0.006])


def brow_curve(identity: Identity, a: Anatomy, units: Mapping[str, float]) -> Points:
    """Centre line of the right-hand brow, inner end first, `(5, 2)`."""
    inner, outer, lower = units["AU01"], units["AU02"], units["AU04"]
    wrinkle, squeeze = units["AU09"], units["AU06"]
    arch = 0.04 * identity.brow_arch
    x = a.eye_x - 0.298 + np.array([0.105, 0.19, 0.285, 0.38, 0.465])
    y = a.brow_y + np.array([0.012, -0.3 * arch, -0.75 * arch, -0.8 * arch, 0.1 * arch])
    y += inner * np.array([-0.135, -0.085, -0.03, 0.0, 0.005])
    y += outer * np.array([-0.02, -0.055, -0.105, -0.125, -0.085])
    y += lower * np.array([0.10, 0.085, 0.05, 0.02, 0.0]) * (1.0 - 0.55 * inner)
    y += wrinkle * np.array([0.06, 0.045, 0.02, 0.0, 0.0]) + 0.015 * squeeze
    x -= lower * np.array([0.05, 0.035, 0.015, 0.0, 0.0]) + wrinkle * 0.015
    return np.stack([x, y], axis=1)


def paint_brows(canvas: Canvas, identity: Identity, a: Anatomy, units: Mapping[str, float]) -> None:
    """Blend both brows into unlit skin."""
    middle = open_curve(brow_curve(identity, a, units))
    half = np.interp(np.linspace(0, 4, len(middle)), np.arange(5), _THICKNESS)
    half = half[:, None] * identity.brow_thickness * (0.0, 1.0)
    shape = np.vstack([middle - half, (middle + half)[::-1]])
    colour = tinted(shade(identity.hair, 0.8), identity.skin, 0.08)
    for side in (1.0, -1.0):
        sided = shape * (side, 1.0)
        canvas.fill(sided, colour, alpha=0.45, soft=0.016)
        canvas.fill(sided, colour, alpha=0.6, soft=0.006)
