"""Mouth: lips, teeth and what lies behind, moved by AU09-AU26."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.actors.anatomy import Anatomy
from simulations.actors.curves import Points, lowered, open_curve
from simulations.actors.drawing import Canvas, Colour, shade, tinted
from simulations.actors.identity import Identity
from simulations.actors.jaw import before_jaw

_ACROSS = np.array([-1.0, -0.82, -0.55, -0.24, 0.0, 0.24, 0.55, 0.82, 1.0])
_CUPID = np.array([0.0, 0.45, 0.80, 1.08, 0.86, 1.08, 0.80, 0.45, 0.0])
_FULL = np.array([0.0, 0.50, 0.82, 0.97, 1.0, 0.97, 0.82, 0.50, 0.0])
_GAPE = np.array([0.0, 0.48, 0.84, 0.98, 1.0, 0.98, 0.84, 0.48, 0.0])


@dataclass(frozen=True)
class Lips:
    """Four edges from the picture's left to its right corner, top to bottom; in final place."""

    upper_outer: Points
    upper_inner: Points
    lower_inner: Points
    lower_outer: Points
    gap: float

    def moved(self, jaw: float) -> Lips:
        """The same edges where they are before the jaw's stretch is applied to the picture."""
        return Lips(
            upper_outer=before_jaw(self.upper_outer, jaw),
            upper_inner=before_jaw(self.upper_inner, jaw),
            lower_inner=before_jaw(self.lower_inner, jaw),
            lower_outer=before_jaw(self.lower_outer, jaw),
            gap=self.gap,
        )


def _corners(identity: Identity, a: Anatomy, units: Mapping[str, float]) -> Points:
    """Left and right corner, `(2, 2)`."""
    widen = (
        0.30 * units["AU12"] + 0.30 * units["AU20"] + 0.10 * units["AU14"] + 0.04 * units["AU15"]
    )
    narrow = 0.36 * units["AU18"] + 0.14 * units["AU23"] + 0.10 * units["AU26"]
    pull = np.array([1.0 - identity.asymmetry, 1.0 + identity.asymmetry])
    x = a.mouth_half_width * (1.0 + np.maximum(widen * pull - narrow, -0.5))
    y = a.mouth_y - 0.125 * units["AU12"] * pull + 0.115 * units["AU15"] * pull
    y = y + 0.035 * units["AU20"] + 0.05 * units["AU26"] - 0.015 * units["AU14"]
    return np.stack([x * (-1.0, 1.0), y], axis=1)


def _thickness(identity: Identity, units: Mapping[str, float]) -> tuple[float, float]:
    pressed = 1.0 - 0.62 * units["AU24"] - 0.42 * units["AU23"] * (1 - units["AU24"])
    stretched = 1.0 - 0.22 * units["AU12"] - 0.25 * units["AU20"] + 0.3 * units["AU18"]
    upper = 0.060 * identity.upper_lip * pressed * stretched * (1.0 - 0.25 * units["AU10"])
    lower = 0.078 * identity.lower_lip * pressed * stretched * (1.0 + 0.15 * units["AU17"])
    return max(upper, 0.012), max(lower, 0.014)


def _edge(corners: Points, middle: NDArray[np.float64]) -> Points:
    x = np.interp(_ACROSS, (-1.0, 1.0), corners[:, 0])
    return open_curve(np.stack([x, middle], axis=1), samples=4)


def lips(identity: Identity, a: Anatomy, units: Mapping[str, float]) -> Lips:
    """Where the lips are."""
    corners, (upper, lower) = _corners(identity, a, units), _thickness(identity, units)
    part, jaw = units["AU25"], units["AU26"]
    raised = (
        0.075 * units["AU10"] + 0.02 * units["AU09"] + 0.018 * part + 0.02 * part * units["AU12"]
    )
    fallen = 0.045 * part + 0.235 * jaw + 0.065 * units["AU16"] - 0.02 * units["AU24"]
    pushed = 0.05 * units["AU17"] + 0.02 * units["AU24"]
    middle = a.mouth_y - pushed + 0.025 * units["AU12"]
    ends = np.where(_ACROSS < 0, corners[0, 1], corners[1, 1])
    line = middle + (ends - middle) * np.abs(_ACROSS) ** 1.7
    gap = max(raised + fallen, 0.0)
    top = line - raised * _GAPE
    bottom = line + (gap - raised) * _GAPE
    return Lips(
        upper_outer=_edge(corners, top - upper * _CUPID),
        upper_inner=_edge(corners, top),
        lower_inner=_edge(corners, bottom),
        lower_outer=_edge(corners, bottom + lower * _FULL),
        gap=gap,
    )


def paint_lips(canvas: Canvas, identity: Identity, edges: Lips) -> None:
    """Blend the lips' colour into unlit skin."""
    upper = np.vstack([edges.upper_outer, edges.upper_inner[::-1]])
    lower = np.vstack([edges.lower_inner, edges.lower_outer[::-1]])
    canvas.fill(upper, shade(identity.lips, 0.86), alpha=0.9, soft=0.008)
    canvas.fill(lower, identity.lips, alpha=0.9, soft=0.008)
    middle = 0.45 * edges.lower_inner + 0.55 * edges.lower_outer
    shine = tinted(identity.lips, (255, 235, 225), 0.5)
    canvas.line(middle[10:-10], shine, width=0.02, alpha=0.35, soft=0.012)
    below = lowered(edges.lower_outer[7:-7], 0.022)
    canvas.line(below, shade(identity.skin, 0.55), width=0.03, alpha=0.35, soft=0.018)


def paint_inside(
    canvas: Canvas, identity: Identity, a: Anatomy, edges: Lips, jaw: float, exposure: float
) -> None:
    """Blend the gap between the lips, with teeth and tongue, into the lit image."""
    opening = np.vstack([edges.upper_inner, edges.lower_inner[::-1]])
    if edges.gap > 0.008:
        canvas.fill(opening, shade((62, 24, 24), exposure), soft=0.003)
        _paint_tongue(canvas, opening, edges, exposure)
        _paint_teeth(canvas, a, opening, edges, jaw, exposure)
        under = lowered(edges.upper_inner, 0.008)
        canvas.line(under, (30, 10, 10), width=0.02, alpha=0.45, soft=0.01, clip=opening)
    dark = shade((70, 28, 26), exposure)
    canvas.line(edges.upper_inner, dark, width=0.013, alpha=0.75, soft=0.005)
    for corner in (edges.upper_inner[0], edges.upper_inner[-1]):
        spot = (float(corner[0]), float(corner[1]))
        canvas.disc(spot, (0.028, 0.02), shade(identity.skin, 0.35), alpha=0.5, soft=0.012)


def _paint_tongue(canvas: Canvas, opening: Points, edges: Lips, exposure: float) -> None:
    if edges.gap < 0.09:
        return
    x, y = edges.lower_inner[len(edges.lower_inner) // 2]
    radius = (0.15, 0.35 * edges.gap)
    canvas.disc(
        (float(x), float(y)),
        radius,
        shade((150, 70, 70), exposure),
        alpha=0.8,
        soft=0.02,
        clip=opening,
    )


def _paint_teeth(
    canvas: Canvas, a: Anatomy, opening: Points, edges: Lips, jaw: float, exposure: float
) -> None:
    enamel = shade((226, 216, 202), 0.9 * exposure)
    inner = edges.upper_inner
    middle = inner[len(inner) // 2]
    across = np.linspace(-1.0, 1.0, len(inner))
    reach = min(a.mouth_y + 0.045, float(middle[1]) + 0.085)
    row = 0.6 * (inner[:, 1] - middle[1]) + reach - 0.09 * np.abs(across) ** 3.5
    top = np.stack([0.86 * inner[:, 0], inner[:, 1] - 0.03], axis=1)
    bottom = before_jaw(np.stack([0.86 * inner[:, 0], row], axis=1), jaw)
    canvas.fill(np.vstack([top, bottom[::-1]]), enamel, soft=0.006, clip=opening)
    if edges.gap > 0.06:
        _paint_lower_teeth(canvas, opening, edges, shade(enamel, 0.7))


def _paint_lower_teeth(canvas: Canvas, opening: Points, edges: Lips, enamel: Colour) -> None:
    middle = edges.lower_inner[len(edges.lower_inner) // 2]
    centre = (float(middle[0]), float(middle[1]) + 0.02)
    canvas.disc(centre, (0.15, 0.04), enamel, alpha=0.6, soft=0.01, clip=opening)
