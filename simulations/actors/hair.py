"""Hair: what of the head it covers, and how its strands look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from common.randomness import generator
from simulations.actors.anatomy import CROWN, head_outline
from simulations.actors.curves import Points, closed_curve, open_curve
from simulations.actors.drawing import Image, Raster, ellipse
from simulations.actors.identity import Identity


@dataclass(frozen=True)
class _Cut:
    """`volume` multiplies the identity's; `fall` is where it ends beside the face; `sideburn`
    is where it ends in front of the ear; `part` slants the hairline; `fringe` lowers it; `bun` is
    the radius of a knot above the crown."""

    volume: float
    fall: float
    sideburn: float
    part: float = 0.0
    fringe: float = 0.0
    curl: float = 0.0
    bun: float = 0.0


_CUTS: Final = {
    "short": _Cut(0.7, 0.0, 0.05),
    "swept": _Cut(1.1, 0.0, 0.08, part=0.14),
    "fringe": _Cut(0.9, 0.15, 0.12, fringe=0.15),
    "bob": _Cut(1.2, 0.85, 0.6, part=0.06),
    "long": _Cut(1.1, 1.55, 0.7, part=0.1),
    "tied": _Cut(0.5, 0.0, -0.02),
    "curly": _Cut(1.9, 0.35, 0.1, curl=1.0),
    "buzz": _Cut(0.2, 0.0, -0.06),
    "afro": _Cut(3.2, 0.1, 0.12, curl=1.3),
    "bun": _Cut(0.5, 0.0, 0.0, bun=0.2),
    "pageboy": _Cut(1.3, 0.55, 0.45, fringe=0.2),
}


def _opening(identity: Identity, cut: _Cut) -> Points:
    top = identity.hairline + cut.fringe
    side = 0.60 * identity.head_width
    return closed_curve(
        [
            (0.0, top - 0.5 * cut.part),
            (0.34, top + 0.03 - cut.part),
            (side - 0.04, top + 0.17 - 0.3 * cut.part),
            (side + 0.01, -0.2),
            (side + 0.03, cut.sideburn),
            (side + 0.2, cut.sideburn + 0.12),
            (1.1, 1.9),
            (-1.1, 1.9),
            (-side - 0.2, cut.sideburn + 0.12),
            (-side - 0.03, cut.sideburn),
            (-side - 0.01, -0.2),
            (-side + 0.04, top + 0.17 + 0.5 * cut.part),
            (-0.34, top + 0.03 + cut.part),
        ],
        samples=12,
    )


def volume(identity: Identity) -> float:
    """How far hair stands off the skull, in face units."""
    cut = _CUTS.get(identity.hair_style)
    return identity.hair_volume * cut.volume + 1.4 * cut.bun if cut else 0.0


def _ragged(points: Points, curl: float, random: np.random.Generator) -> Points:
    if not curl:
        return points
    angle = np.linspace(0, 2 * np.pi, len(points), endpoint=False)
    wave = sum(np.sin(k * angle + random.uniform(0, 6.3)) / k**0.5 for k in (9, 14, 21, 30))
    return np.asarray(points * (1.0 + 0.018 * curl * np.asarray(wave))[:, None])


def front_mask(identity: Identity, raster: Raster) -> Image:
    """What hair covers in front of head and ears, 0..1."""
    cut = _CUTS.get(identity.hair_style)
    if cut is None:
        return np.zeros(raster.shape, np.float32)
    random = generator(identity.texture, "hair outline")
    outer = head_outline(identity, identity.hair_volume * cut.volume)
    covered = raster.mask(_ragged(outer, cut.curl, random), 0.008)
    face = raster.mask(_ragged(_opening(identity, cut), 0.6 * cut.curl, random), 0.012)
    if cut.bun:
        knot = ellipse((0.0, CROWN - 0.4 * cut.bun), (1.15 * cut.bun, cut.bun))
        covered = np.maximum(covered, raster.mask(knot, 0.008))
    return np.asarray(covered * (1.0 - face), np.float32)


def back_mask(identity: Identity, raster: Raster) -> Image:
    """What hair covers behind neck and ears, 0..1."""
    cut = _CUTS.get(identity.hair_style)
    if cut is None or cut.fall <= 0:
        return np.zeros(raster.shape, np.float32)
    reach = 0.70 * identity.head_width + identity.hair_volume * cut.volume
    side = [
        (0.0, -0.9),
        (reach * 0.9, -0.5),
        (reach + 0.02, 0.0),
        (reach + 0.05, 0.6 * cut.fall),
        (reach + 0.01, cut.fall - 0.08),
        (reach * 0.75, cut.fall + 0.02),
        (reach * 0.3, cut.fall + 0.04),
    ]
    right = open_curve(side)
    random = generator(identity.texture, "back hair")
    shape = np.vstack([right, right[::-1] * (-1.0, 1.0)])
    return raster.mask(_ragged(shape, cut.curl, random), 0.012)


def strands(identity: Identity, raster: Raster) -> Image:
    """Colour of hair at every pixel, `(height, width, 3)`."""
    random = generator(identity.texture, "strands")
    x, y = raster.grid()
    cut = _CUTS.get(identity.hair_style)
    curly = cut is not None and cut.curl > 0
    streak = _curls(raster, random) if curly else _streaks(raster, random)
    gloss = np.exp(-0.5 * ((y + 0.72 + 0.25 * x**2) / 0.1) ** 2) * (y < 0)
    tone = 1.0 + 0.16 * streak + (0.35 + 0.1 * streak) * gloss * (0.3 if curly else 1.0)
    return np.asarray(tone[..., None] * np.asarray(identity.hair, np.float32) + 4.0, np.float32)


def _noise(shape: tuple[int, int], sigma: float, random: np.random.Generator) -> Image:
    """Smooth noise of mean 0 and deviation 1."""
    white = random.standard_normal(shape, dtype=np.float32)
    smooth = np.asarray(cv2.GaussianBlur(white, (0, 0), sigma), np.float32)
    return smooth / np.float32(smooth.std())


def _streaks(raster: Raster, random: np.random.Generator) -> Image:
    """Strands that run from the crown outwards."""
    x, y = raster.grid()
    columns = ((np.arctan2(x, 1.3 - y) * 0.4 + 0.5) * 419).astype(np.float32)
    rows = np.clip(np.hypot(x, y - 1.3) * 7.2, 0, 23).astype(np.float32)
    noise = _noise((24, 420), 0.9, random)
    streak = cv2.remap(noise, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(streak, np.float32)


def _curls(raster: Raster, random: np.random.Generator) -> Image:
    """Locks: ridges where a smooth field crosses zero, finer ones on top."""
    coarse = _noise(raster.shape, 0.035 * raster.density, random)
    fine = _noise(raster.shape, 0.014 * raster.density, random)
    return np.asarray(0.8 - 1.3 * np.abs(coarse) + 0.6 * fine, np.float32)
