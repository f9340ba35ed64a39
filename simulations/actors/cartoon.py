"""Draws a person's avatar: flat colours in two tones, outlines, large eyes; unlike the person.

The avatar is driven by action units as the person is, and everything drawn is synthetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from common.errors import UsageError
from simulations.actors import hair
from simulations.actors.action_units import ACTION_UNITS, activations
from simulations.actors.cartoon_look import Look, avatar_look, outline
from simulations.actors.cartoon_parts import paint_features
from simulations.actors.curves import Points, open_curve
from simulations.actors.drawing import Canvas, Image, Raster, ellipse, shade
from simulations.actors.face import MAXIMUM_TURN, MINIMUM_SIZE, Pose
from simulations.actors.glasses import paint_glasses
from simulations.actors.head import ORIGIN, UNITS_PER_FRAME
from simulations.actors.identity import Identity

_OVERSAMPLING: Final = 2
_FRONT: Final = Pose()
_TONE: Final = 0.84
"""The darker of the two tones."""
_LINE: Final = 0.028
_PARALLAX: Final = 0.34
"""How far the face's middle lies before its outline, in face units."""


@dataclass(frozen=True, eq=False)
class _Layers:
    """What frames of one avatar at one size share.

    `scene` `(height, width, 3)` is behind the face, `front` in front of it, laid over with what
    `uncovered` `(height, width, 1)` leaves of the picture below, 0..1.
    """

    look: Look
    raster: Raster
    scene: Image
    front: Image
    uncovered: Image


def render_avatar(
    identity: Identity,
    action_units: Mapping[str, float] | ArrayLike,
    pose: Pose = _FRONT,
    size: int = 240,
) -> NDArray[np.uint8]:
    """One frame of a person's avatar, RGB `(size, size, 3)`; equal arguments give equal pixels.

    Args:
        identity: the person whose avatar it is.
        action_units: activations 0..1 by name (others 0), or one number per `ACTION_UNITS`.
        pose: angles are cut to +-25 degrees.
        size: pixels, at least 48.

    Raises:
        UsageError: an action unit is unknown or not finite, or `size` is too small.
    """
    if size < MINIMUM_SIZE:
        raise UsageError(f"avatar size is {size} pixels: use {MINIMUM_SIZE} or more")
    units = dict(zip(ACTION_UNITS, activations(action_units).tolist(), strict=True))
    layers = _prepare(identity, size)
    image = layers.scene.copy()
    _paint_head(image, layers, units, pose)
    turned = _turned(image, pose, layers.raster, layers.look)
    small = cv2.resize(turned, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small + 0.5, 0.0, 255.0), np.uint8)


@lru_cache(maxsize=16)
def _prepare(identity: Identity, size: int) -> _Layers:
    look = avatar_look(identity)
    span = UNITS_PER_FRAME
    left, top = -ORIGIN[0] * span, -ORIGIN[1] * span
    raster = Raster(left, top, left + span, top + span, _OVERSAMPLING * size / span)
    scene = _scene(look, raster)
    back = hair.back_mask(look.identity, raster)
    _blend(scene, back, shade(look.identity.hair, 0.62))
    front, uncovered = _front_hair(look, raster)
    return _Layers(look, raster, scene, front, uncovered)


def _front_hair(look: Look, raster: Raster) -> tuple[Image, Image]:
    """Hair in front of the face with a band of light and an outline, black where there is none;
    and what of the face it leaves uncovered."""
    mask = (hair.front_mask(look.identity, raster) > 0.5).astype(np.float32)
    wide = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=max(1, raster.shape[0] // 128))
    x, y = raster.grid()
    band = (np.abs(y + 0.78 + 0.3 * x**2) < 0.05) & (np.abs(x) < 0.5)
    image = np.zeros((*raster.shape, 3), np.float32)
    _blend(image, mask, look.identity.hair)
    _blend(image, np.asarray(0.35 * mask * band, np.float32), (255, 255, 255))
    _blend(image, np.asarray(wide - mask, np.float32), look.line)
    return image, np.asarray(1.0 - wide, np.float32)[..., None]


def _scene(look: Look, raster: Raster) -> Image:
    image = np.full((*raster.shape, 3), look.backdrop, np.float32)
    canvas = Canvas(image, raster)
    canvas.disc((0.0, 0.1), 1.55, shade(look.backdrop, 1.1))
    right = open_curve([(0.25, 1.2), (0.5, 1.34), (1.0, 1.5), (1.3, 1.8), (1.4, 2.4)])
    body = np.vstack([right, right[::-1] * (-1.0, 1.0)])
    canvas.fill(body, look.shirt)
    canvas.line(body[: len(right)], look.line, width=_LINE)
    canvas.line(body[len(right) :], look.line, width=_LINE)
    return image


def _paint_head(image: Image, layers: _Layers, units: Mapping[str, float], pose: Pose) -> None:
    look, raster = layers.look, layers.raster
    canvas = Canvas(image, raster)
    identity = look.identity
    _paint_neck(canvas, look)
    _paint_ears(canvas, look)
    face = outline(identity, units["AU26"])
    canvas.fill(face, shade(identity.skin, _TONE))
    lit = ellipse((-0.09, -0.03), (0.74 * identity.head_width, 1.02))
    canvas.fill(face * (0.985, 0.99), identity.skin, clip=lit)
    _paint_beard(canvas, look, face)
    canvas.line(np.vstack([face, face[:1]]), look.line, width=_LINE)
    moved = Canvas(image, _moved(raster, pose))
    paint_features(moved, look, units, (pose.gaze_x, pose.gaze_y))
    paint_glasses(moved, identity, look.anatomy, 1.0)
    image *= layers.uncovered
    image += layers.front


def _moved(raster: Raster, pose: Pose) -> Raster:
    """Where the face's middle lies when the head turns."""
    yaw, pitch = np.radians(np.clip([pose.yaw, pose.pitch], -MAXIMUM_TURN, MAXIMUM_TURN))
    dx, dy = float(_PARALLAX * np.sin(yaw)), float(_PARALLAX * np.sin(pitch))
    return Raster(
        raster.left - dx, raster.top - dy, raster.right - dx, raster.bottom - dy, raster.density
    )


def _paint_neck(canvas: Canvas, look: Look) -> None:
    skin = look.identity.skin
    canvas.fill([(-0.26, 0.6), (0.26, 0.6), (0.28, 1.3), (-0.28, 1.3)], shade(skin, 0.68))
    canvas.disc((0.0, 1.27), (0.28, 0.13), shade(skin, 0.68))


def _paint_ears(canvas: Canvas, look: Look) -> None:
    for side in (1.0, -1.0):
        centre = (side * 0.74 * look.identity.head_width, 0.08)
        canvas.disc(centre, (0.13, 0.2), look.line)
        canvas.disc(centre, (0.105, 0.175), shade(look.identity.skin, 0.9))


def _paint_beard(canvas: Canvas, look: Look, face: Points) -> None:
    identity, a = look.identity, look.anatomy
    if identity.beard <= 0:
        return
    alpha = 0.35 + 0.6 * identity.beard
    below = [(-1.0, a.mouth_y - 0.1), (-0.5, a.mouth_y + 0.02), (-0.3, a.mouth_y + 0.12)]
    jaw = [*below, *[(-x, y) for x, y in below[::-1]], (1.0, 1.4), (-1.0, 1.4)]
    if identity.beard_style == "goatee":
        jaw = [(-0.2, a.mouth_y + 0.1), (0.2, a.mouth_y + 0.1), (0.16, 1.2), (-0.16, 1.2)]
    if identity.beard_style != "moustache":
        canvas.fill(jaw, identity.hair, alpha=alpha, clip=face)
    for side in (1.0, -1.0):
        lip = ellipse((side * 0.1, a.mouth_y - 0.085), (0.13, 0.045))
        canvas.fill(lip, identity.hair, alpha=alpha)


def _blend(image: Image, mask: Image, colour: tuple[float, float, float]) -> None:
    image += (np.array(colour, np.float32) - image) * mask[..., None]


def _turned(image: Image, pose: Pose, raster: Raster, look: Look) -> Image:
    """The picture rolled, scaled and shifted; what comes in from outside is backdrop."""
    centre = (-raster.left * raster.density, -raster.top * raster.density)
    roll = float(np.clip(pose.roll, -MAXIMUM_TURN, MAXIMUM_TURN))
    scale = float(np.clip(pose.scale, 0.5, 1.5))
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, -roll, scale), np.float64)
    matrix[:, 2] += np.array([pose.x, pose.y]) * raster.density
    height, width = raster.shape
    warped = cv2.warpAffine(
        image,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=look.backdrop,
    )
    return np.asarray(warped, np.float32)
