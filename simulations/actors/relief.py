"""The face as a height field over the picture plane, and how action units change it.

Heights are in face units towards the viewer. Heights add up, so slopes and hollows do too: they
are worked out once per identity and action unit, and a frame is one weighted sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulations.actors.action_units import AU_INDEX, Activations
from simulations.actors.anatomy import Anatomy
from simulations.actors.curves import open_curve
from simulations.actors.drawing import Image, Raster
from simulations.actors.identity import Identity

_HOLLOW_SIGMA: Final = 0.045
_Bump = tuple[float, float, float, float, float]
"""Height, x, y, sigma across, sigma down; x is mirrored unless it is 0."""


class Sculptor:
    """Makes height fields on one raster, symmetric about x = 0."""

    def __init__(self, raster: Raster) -> None:
        self.raster = raster
        self.x, self.y = raster.grid()

    def bumps(self, bumps: Iterable[_Bump]) -> Image:
        """The sum of Gaussian bumps, `(height, width)`."""
        total = np.zeros(self.raster.shape, np.float32)
        for height, x, y, across, down in bumps:
            for side in (1.0, -1.0) if x else (1.0,):
                total += height * np.exp(
                    -0.5 * (((self.x - side * x) / across) ** 2 + ((self.y - y) / down) ** 2)
                )
        return total

    def folds(self, depth: float, lines: Iterable[ArrayLike], width: float = 0.02) -> Image:
        """Creases of `depth` along curves through points, each mirrored."""
        total = np.zeros(self.raster.shape, np.float32)
        for line in lines:
            curve = open_curve(line)
            for side in (1.0, -1.0):
                total -= depth * self.raster.trace(curve * (side, 1.0), width, width)
        return np.maximum(total, -depth)

    def rounded(self, mask: Image, radius: float, height: float) -> Image:
        """How far the edge of `mask` falls away within `radius`, 0 inside to -height."""
        inside = (mask > 0.5).astype(np.uint8)
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5) / self.raster.density
        rim = 1.0 - np.minimum(distance / radius, 1.0)
        return np.asarray(height * (np.sqrt(1.0 - 0.97 * rim**2) - 1.0), np.float32)


@dataclass(frozen=True)
class Relief:
    """Slopes and hollows: `at_rest` `(3, height, width)` and `by_unit`, what an action unit
    adds at activation 1. The three are the height's slope to the right, its slope down, and how
    far a place lies below its surroundings. `depth` `(height, width)` is smooth, for turning.
    """

    at_rest: Image
    by_unit: Mapping[int, Image]
    depth: Image

    def under(self, activations: Activations) -> Image:
        """Slopes and hollows `(3, height, width)` under activations `(units,)`."""
        total, scaled = self.at_rest.copy(), np.empty_like(self.at_rest)
        # One sum after another: a matrix product would start threads in every worker.
        for unit, change in self.by_unit.items():
            if activations[unit] > 0:
                total += np.multiply(change, np.float32(activations[unit]), out=scaled)
        return total


def _derived(heights: Image, density: float) -> Image:
    down, across = np.gradient(heights, 1.0 / density)
    hollow = _blurred(heights, _HOLLOW_SIGMA * density) - heights
    return np.stack([across, down, hollow]).astype(np.float32)


def _blurred(field: NDArray[np.floating], sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), max(sigma, 0.3)), np.float32)


def skull(sculptor: Sculptor) -> Image:
    """The smooth ellipsoid under face and hair."""
    radius2 = (sculptor.x / 0.86) ** 2 + ((sculptor.y + 0.02) / 1.2) ** 2
    return np.asarray(0.78 * np.sqrt(np.clip(1.0 - radius2, 0.02, 1.0)), np.float32)


def face_at_rest(sculptor: Sculptor, a: Anatomy, age: float) -> Image:
    """Nose, sockets, brow ridge, cheekbones, lips' mound and chin."""
    ny, nw, my = a.nose_y, a.nose_half_width, a.mouth_y
    bumps = sculptor.bumps(
        [
            (0.07, 0, 0.02, 0.062, 0.16),
            (0.115, 0, ny - 0.14, 0.078, 0.14),
            (0.105, 0, ny - 0.02, 0.085, 0.07),
            (0.075, 0.62 * nw, ny + 0.005, 0.045, 0.045),
            (-0.07, a.eye_x, -0.01, 0.14, 0.085),
            (-0.03, 0.11, 0.0, 0.05, 0.08),
            (0.045, a.eye_x, 0.005, 0.085, 0.055),
            (0.05, 0.27, a.brow_y + 0.01, 0.17, 0.05),
            (0.055, 0.43, 0.27, 0.14, 0.12),
            (0.05, 0, my, 0.20, 0.11),
            (-0.022, 0, ny + 0.1, 0.02, 0.045),
            (-0.035, 0, my + 0.135, 0.14, 0.03),
            (0.07, 0, 0.89, 0.13, 0.08),
            (-0.03, 0.62, -0.22, 0.08, 0.15),
        ]
    )
    return bumps + sculptor.folds(0.004 + 0.012 * age, _resting_folds(a), 0.025)


def _resting_folds(a: Anatomy) -> list[list[tuple[float, float]]]:
    under_eye = [(a.eye_x - 0.11, 0.085), (a.eye_x, 0.125), (a.eye_x + 0.10, 0.11)]
    return [_nasolabial(a), under_eye]


def _nasolabial(a: Anatomy, lift: float = 0.0) -> list[tuple[float, float]]:
    top, corner = a.nose_half_width + 0.045, a.mouth_half_width
    return [
        (top - 0.015, a.nose_y - 0.07),
        (top + 0.07, a.nose_y + 0.04),
        (corner + 0.075, a.mouth_y - 0.07 - lift),
        (corner + 0.095, a.mouth_y + 0.03 - lift),
    ]


def _furrows(
    lines: int, y: float, step: float, x: tuple[float, float], rise: float
) -> list[list[tuple[float, float]]]:
    middle = (x[0] + x[1]) / 2
    return [
        [(x[0], y - i * step), (middle, y - i * step - rise), (x[1], y - i * step)]
        for i in range(lines)
    ]


def change_by_units(sculptor: Sculptor, a: Anatomy, identity: Identity) -> dict[str, Image]:
    """Height change of each action unit that moves skin, at activation 1."""
    by, ny, my, ex, mw = a.brow_y, a.nose_y, a.mouth_y, a.eye_x, a.mouth_half_width
    deep = 0.022 * (0.75 + 0.5 * identity.age)
    s = sculptor
    crow = [[(ex + 0.19, -0.02 + d), (ex + 0.28, -0.05 + 2.4 * d)] for d in (-0.01, 0.02, 0.05)]
    marionette = [[(mw + 0.03, my + 0.02), (mw + 0.07, my + 0.14)]]
    bunny = [[(0.03, -0.02), (0.075, 0.03)], [(0.03, 0.04), (0.085, 0.09)]]
    return {
        "AU01": s.folds(0.8 * deep, _furrows(3, by - 0.12, 0.07, (0.0, 0.2), 0.01)),
        "AU02": s.folds(0.7 * deep, _furrows(3, by - 0.13, 0.07, (0.22, 0.46), 0.03)),
        "AU04": s.bumps([(0.03, 0.13, by + 0.02, 0.07, 0.05), (-0.02, 0, by, 0.03, 0.07)])
        + s.folds(1.3 * deep, [[(0.05, by - 0.08), (0.045, by + 0.0), (0.06, by + 0.06)]]),
        "AU06": s.bumps([(0.05, 0.36, 0.17, 0.13, 0.06), (-0.02, ex, 0.09, 0.12, 0.02)])
        + s.folds(0.7 * deep, crow, 0.014),
        "AU07": s.bumps([(0.02, ex, 0.075, 0.11, 0.022)]),
        "AU09": s.folds(deep, [*bunny, _nasolabial(a)], 0.02)
        + s.bumps([(0.04, 0.13, ny - 0.1, 0.06, 0.08)]),
        "AU10": s.folds(1.3 * deep, [_nasolabial(a)], 0.024)
        + s.bumps([(0.03, 0.25, ny, 0.08, 0.08)]),
        "AU12": s.folds(1.5 * deep, [_nasolabial(a, 0.05)], 0.026)
        + s.bumps([(0.06, 0.40, 0.34, 0.12, 0.11)]),
        "AU14": s.bumps([(-0.035, mw + 0.05, my, 0.025, 0.035)]),
        "AU15": s.folds(1.3 * deep, marionette, 0.026)
        + s.bumps([(0.03, mw, my + 0.13, 0.05, 0.04)]),
        "AU16": s.bumps([(0.03, 0, my + 0.12, 0.1, 0.03)]),
        "AU17": s.bumps([(0.055, 0, 0.86, 0.10, 0.06), (-0.05, 0, my + 0.13, 0.12, 0.022)]),
        "AU18": s.bumps([(0.06, 0, my, 0.12, 0.09)]),
        "AU20": s.folds(1.1 * deep, [[(mw + 0.09, my - 0.08), (mw + 0.12, my + 0.08)]], 0.026),
        "AU23": s.bumps([(0.025, 0, my - 0.09, 0.15, 0.025), (0.025, 0, my + 0.1, 0.15, 0.025)]),
        "AU24": s.bumps([(0.025, 0, my - 0.08, 0.16, 0.025), (0.03, 0, my + 0.09, 0.16, 0.03)]),
    }


def sculpt(
    sculptor: Sculptor, identity: Identity, anatomy: Anatomy, face: Image, hair: Image
) -> Relief:
    """The relief of a head whose skin and hair cover the masks `face` and `hair` (0..1)."""
    base = skull(sculptor)
    skin = face * (1.0 - hair)
    detail = face_at_rest(sculptor, anatomy, identity.age)
    rim = sculptor.rounded(face, 0.3, 0.3) * skin
    crown = sculptor.rounded(np.maximum(face, hair), 0.3, 0.35) * (1.0 - skin)
    shape = base + detail * face + _blurred(rim + crown, 0.02 * sculptor.raster.density)
    density = sculptor.raster.density
    at_rest = _derived(shape, density)
    at_rest[2] *= skin
    changes = change_by_units(sculptor, anatomy, identity)
    return Relief(
        at_rest=at_rest,
        by_unit={AU_INDEX[name]: _derived(dz * face, density) for name, dz in changes.items()},
        depth=_blurred((base + detail) * np.maximum(face, hair), 0.03 * density),
    )
