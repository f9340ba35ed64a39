"""What of a head does not change with the expression: skin, ears, neck, hair and relief."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from common.randomness import generator
from simulations.actors import hair
from simulations.actors.anatomy import CROWN, Anatomy
from simulations.actors.curves import closed_curve, open_curve
from simulations.actors.drawing import Canvas, Image, Raster, ellipse, shade, tinted
from simulations.actors.identity import Identity
from simulations.actors.relief import Relief, Sculptor, sculpt

UNITS_PER_FRAME = 3.55
ORIGIN = (0.5, 0.475)
_OVERSAMPLING = 1.25


@dataclass(frozen=True)
class Head:
    """One identity made ready for one frame size.

    `albedo` `(height, width, 3)` is lit by the renderer; `alpha` `(height, width)` 0..1;
    `skin` `(height, width)` is 1 where light glistens on skin; `scene` `(size, size, 3)` is
    what lies behind the head.
    """

    identity: Identity
    anatomy: Anatomy
    raster: Raster
    albedo: Image
    alpha: Image
    skin: Image
    relief: Relief
    scene: Image


def head_raster(identity: Identity, size: int) -> Raster:
    """The raster of head layers for frames of `size` pixels: as little as holds the head."""
    reach = 0.72 * identity.head_width + max(0.14, 0.1 + hair.volume(identity))
    top = CROWN - 0.06 - hair.volume(identity)
    return Raster(-reach, top, reach, 1.66, _OVERSAMPLING * size / UNITS_PER_FRAME)


@lru_cache(maxsize=16)
def prepare(identity: Identity, size: int) -> Head:
    """Everything that frames of this person at this size share."""
    raster, anatomy = head_raster(identity, size), Anatomy.of(identity)
    face = raster.mask(anatomy.outline, 0.008)
    front, throat = hair.front_mask(identity, raster), raster.mask(_neck(identity), 0.02)
    back, neck = hair.back_mask(identity, raster) * (1.0 - throat), throat * _fading_down(raster)
    ears = _ears(identity, raster)
    albedo = _layers(identity, anatomy, raster, (back, neck, ears, face, front))
    alpha = np.maximum.reduce([face, front, back, neck, ears])
    return Head(
        identity=identity,
        anatomy=anatomy,
        raster=raster,
        albedo=albedo,
        alpha=alpha,
        skin=face * (1.0 - front),
        relief=sculpt(Sculptor(raster), identity, anatomy, face, np.maximum(front, back)),
        scene=_scene(identity, size),
    )


def _layers(
    identity: Identity, anatomy: Anatomy, raster: Raster, masks: tuple[Image, ...]
) -> Image:
    back, neck, ears, face, front = masks
    strands = hair.strands(identity, raster)
    bare = _bare_skin(identity, raster)
    skin = _skin(identity, anatomy, raster, bare)
    image = np.broadcast_to(np.asarray(identity.skin, np.float32), skin.shape).copy()
    for mask, colour in (
        (back, strands * 0.6),
        (neck, bare * _neck_shadow(raster)),
        (ears, bare * 0.86),
        (face, skin),
    ):
        image += (colour - image) * mask[..., None]
    _paint_ear_folds(Canvas(image, raster), identity)
    image *= 1.0 - 0.45 * _cast(front, raster)[..., None] * (1.0 - front[..., None])
    image += (strands - image) * front[..., None]
    return image


def _cast(mask: Image, raster: Raster) -> Image:
    """A soft shadow below `mask`, as from a lamp above."""
    moved = np.roll(mask, round(0.05 * raster.density), axis=0)
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), 0.035 * raster.density), np.float32)


def _neck(identity: Identity) -> np.ndarray:
    half = 0.40 * identity.jaw_width * identity.head_width
    right = open_curve([(half, 0.4), (half * 0.98, 0.9), (half * 1.02, 1.3), (half * 1.3, 1.8)])
    return np.vstack([right, right[::-1] * (-1.0, 1.0)])


def _fading_down(raster: Raster) -> Image:
    x, y = raster.grid()
    return np.asarray(np.clip((1.49 - 1.7 * x**2 - y) / 0.1, 0.0, 1.0), np.float32)


def _neck_shadow(raster: Raster) -> Image:
    x, y = raster.grid()
    edge = 1.20 - 0.45 * x**2
    lit = 1.0 / (1.0 + np.exp(-(y - edge) / 0.10))
    return np.asarray(0.55 + 0.33 * lit, np.float32)[..., None]


def _ears(identity: Identity, raster: Raster) -> Image:
    x = 0.71 * identity.head_width
    half = [
        (x - 0.06, -0.1),
        (x + 0.07, -0.13),
        (x + 0.12, 0.0),
        (x + 0.06, 0.24),
        (x - 0.04, 0.33),
    ]
    shape = closed_curve(half)
    return np.maximum(raster.mask(shape, 0.008), raster.mask(shape * (-1.0, 1.0), 0.008))


def _paint_ear_folds(canvas: Canvas, identity: Identity) -> None:
    x = 0.71 * identity.head_width
    for side in (1.0, -1.0):
        line = np.array([(x + 0.02, -0.06), (x + 0.06, 0.02), (x + 0.03, 0.15)]) * (side, 1.0)
        dark = shade(identity.skin, 0.6)
        canvas.line(open_curve(line), dark, width=0.025, alpha=0.5, soft=0.012)


def _bare_skin(identity: Identity, raster: Raster) -> Image:
    tone = _mottling(raster, generator(identity.texture, "mottling"))
    return np.asarray(tone * np.asarray(identity.skin, np.float32), np.float32)


def _skin(identity: Identity, a: Anatomy, raster: Raster, bare: Image) -> Image:
    random = generator(identity.texture, "skin")
    image = bare.copy()
    canvas = Canvas(image, raster)
    flush = tinted(identity.skin, (196, 78, 70), 0.3)
    red = 0.7 * identity.redness
    for side in (1.0, -1.0):
        canvas.disc((side * 0.40, 0.32), (0.17, 0.14), flush, alpha=red, soft=0.08)
        hollow = tinted(shade(identity.skin, 0.8), (110, 70, 90), 0.12)
        canvas.disc((side * a.eye_x, 0.06), (0.15, 0.06), hollow, alpha=0.55, soft=0.035)
        lid = tinted(shade(identity.skin, 0.86), (140, 80, 70), 0.15)
        canvas.disc((side * a.eye_x, -0.055), (0.17, 0.06), lid, alpha=0.6, soft=0.03)
    canvas.disc((0.0, a.nose_y - 0.02), (0.11, 0.08), flush, alpha=0.7 * red, soft=0.05)
    _paint_nostrils(canvas, identity, a)
    _paint_freckles(canvas, identity, random)
    _paint_beard(image, identity, a, raster, random)
    return image


def _paint_nostrils(canvas: Canvas, identity: Identity, a: Anatomy) -> None:
    dark = tinted(shade(identity.skin, 0.28), (60, 20, 16), 0.3)
    for side in (1.0, -1.0):
        x = side * 0.44 * a.nose_half_width
        canvas.disc((x, a.nose_y + 0.052), (0.042, 0.017), dark, alpha=0.85, soft=0.01)
        wing = np.array(
            [
                (0.93 * a.nose_half_width, a.nose_y - 0.06),
                (1.02 * a.nose_half_width, a.nose_y + 0.005),
                (0.86 * a.nose_half_width, a.nose_y + 0.05),
            ]
        ) * (side, 1.0)
        canvas.line(open_curve(wing), shade(identity.skin, 0.5), width=0.02, alpha=0.5, soft=0.012)
    shadow = [
        (-0.13, a.nose_y + 0.05),
        (0.13, a.nose_y + 0.05),
        (0.08, a.nose_y + 0.11),
        (-0.08, a.nose_y + 0.11),
    ]
    canvas.fill(closed_curve(shadow), shade(identity.skin, 0.62), alpha=0.4, soft=0.025)


def _paint_freckles(canvas: Canvas, identity: Identity, random: np.random.Generator) -> None:
    for _ in range(int(70 * identity.freckles)):
        x, y = random.normal(0, 0.28), random.normal(0.22, 0.12)
        canvas.disc(
            (x, y), 0.012, shade(identity.skin, 0.68), alpha=random.uniform(0.2, 0.6), soft=0.005
        )


def _paint_beard(
    image: Image, identity: Identity, a: Anatomy, raster: Raster, random: np.random.Generator
) -> None:
    if identity.beard <= 0:
        return
    x, y = raster.grid()
    start = a.mouth_y + 0.13 - 0.9 * np.clip(np.abs(x) - 0.28, 0.0, 0.4) ** 0.8
    jaw = 1.0 / (1.0 + np.exp(-(y - start) / 0.05))
    if identity.beard_style == "goatee":
        jaw = jaw / (1.0 + np.exp((np.abs(x) - 0.24) / 0.03))
    moustache = raster.mask(ellipse((0.0, a.mouth_y - 0.075), (0.26, 0.06)), 0.03)
    only = identity.beard_style == "moustache"
    cover = moustache if only else np.maximum(jaw, 0.8 * moustache)
    grain = 0.8 + 0.2 * random.standard_normal(raster.shape).astype(np.float32)
    share = np.clip(identity.beard * cover * grain, 0.0, 0.9).astype(np.float32)
    image += (np.asarray(identity.hair, np.float32) - image) * share[..., None]


def _mottling(raster: Raster, random: np.random.Generator) -> Image:
    height, width = raster.shape
    coarse = cv2.GaussianBlur(
        random.standard_normal((height, width)).astype(np.float32), (0, 0), 0.05 * raster.density
    )
    fine = cv2.GaussianBlur(random.standard_normal((height, width)).astype(np.float32), (0, 0), 0.7)
    tone = 1.0 + 0.02 * coarse / coarse.std() + 0.016 * fine / fine.std()
    return np.asarray(tone, np.float32)[..., None]


def _scene(identity: Identity, size: int) -> Image:
    """Backdrop, shoulders and shirt, `(size, size, 3)`."""
    span = UNITS_PER_FRAME
    left, top = -ORIGIN[0] * span, -ORIGIN[1] * span
    raster = Raster(left, top, left + span, top + span, size / span)
    x, y = raster.grid()
    fall = 1.0 - 0.035 * ((x + 0.5) ** 2 + (y + 0.6) ** 2)
    wall: Image = np.asarray(identity.backdrop * fall, np.float32)
    image: Image = wall[..., None] * np.array([1.0, 0.995, 0.98], np.float32)
    canvas = Canvas(image, raster)
    canvas.fill(_neck(identity), shade(identity.skin, 0.84), soft=0.015)
    right = open_curve([(0.37, 1.3), (0.62, 1.42), (1.2, 1.56), (1.62, 1.8), (1.8, 2.2)])
    collar = open_curve([(-0.37, 1.3), (-0.2, 1.47), (0.0, 1.53), (0.2, 1.47), (0.37, 1.3)])
    body = np.vstack([collar, right, right[::-1] * (-1.0, 1.0)])
    canvas.fill(body, identity.shirt, soft=0.012)
    canvas.line(collar, shade(identity.shirt, 0.55), width=0.03, alpha=0.7, soft=0.012)
    return image
