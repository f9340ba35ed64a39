"""Draws one frame of one person: skin, light, eyes and mouth, then the turn of the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from common.errors import UsageError
from simulations.actors.action_units import ACTION_UNITS, AU_INDEX, Activations, activations
from simulations.actors.brows import paint_brows
from simulations.actors.drawing import Canvas, Image
from simulations.actors.eyes import paint_eyes, paint_lid_skin
from simulations.actors.glasses import paint_glasses
from simulations.actors.head import ORIGIN, UNITS_PER_FRAME, Head, prepare
from simulations.actors.identity import Identity
from simulations.actors.jaw import lift_map
from simulations.actors.mouth import lips, paint_inside, paint_lips

MINIMUM_SIZE: Final = 48
MAXIMUM_TURN: Final = 25.0
_SHEEN: Final = 26.0
_HOLLOW_SHADE: Final = 7.0


@dataclass(frozen=True)
class Pose:
    """Head and eyes. Angles in degrees: `yaw` to the picture's right, `pitch` down, `roll`
    clockwise; `x`, `y` shift and `gaze_x`, `gaze_y` (of the iris) in face units; `scale` 1 is a
    face of about 60 % of the frame's height."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0


@dataclass(frozen=True)
class Light:
    """A lamp and the room. `azimuth` to the picture's right and `elevation` above the camera in
    degrees; `lamp` and `room` are strengths, together about 1; `warmth` is -1 (bluish) to 1
    (yellowish)."""

    azimuth: float = -20.0
    elevation: float = 30.0
    lamp: float = 0.6
    room: float = 0.5
    warmth: float = 0.0

    @property
    def direction(self) -> NDArray[np.float64]:
        """Unit vector `(3,)` to the lamp: right, down, towards the viewer."""
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        return np.array(
            [
                np.sin(azimuth) * np.cos(elevation),
                -np.sin(elevation),
                np.cos(azimuth) * np.cos(elevation),
            ]
        )

    @property
    def tint(self) -> NDArray[np.float32]:
        """Gains `(3,)` of red, green and blue."""
        return np.array([1 + 0.06 * self.warmth, 1.0, 1 - 0.08 * self.warmth], np.float32)


_FRONT: Final = Pose()
_STUDIO: Final = Light()


def render_frame(
    identity: Identity,
    action_units: Mapping[str, float] | ArrayLike,
    pose: Pose = _FRONT,
    light: Light = _STUDIO,
    size: int = 240,
) -> NDArray[np.uint8]:
    """One synthetic frame, RGB `(size, size, 3)`; equal arguments give equal pixels.

    Args:
        identity: the person.
        action_units: activations 0..1 by name (others 0), or one number per `ACTION_UNITS`.
        pose: angles are cut to +-25 degrees, where the drawing stops being a face.
        light: the lamp and the room.
        size: pixels, at least 48.

    Raises:
        UsageError: an action unit is unknown or not finite, or `size` is too small.
    """
    if size < MINIMUM_SIZE:
        raise UsageError(f"frame size is {size} pixels: use {MINIMUM_SIZE} or more")
    vector = activations(action_units)
    head = prepare(identity, size)
    return _placed(head, _painted(head, vector, pose, light), vector, pose, light)


def _painted(head: Head, vector: Activations, pose: Pose, light: Light) -> Image:
    """The head seen from the front before the jaw's stretch, lit, `(height, width, 3)`."""
    identity, anatomy = head.identity, head.anatomy
    units = dict(zip(ACTION_UNITS, vector.tolist(), strict=True))
    image = head.albedo.copy()
    canvas = Canvas(image, head.raster)
    edges = lips(identity, anatomy, units).moved(units["AU26"])
    paint_lid_skin(canvas, identity, anatomy, units)
    paint_brows(canvas, identity, anatomy, units)
    paint_lips(canvas, identity, edges)
    _illuminate(image, head, vector, light)
    exposure = light.room + 0.75 * light.lamp
    paint_eyes(canvas, identity, anatomy, units, (pose.gaze_x, pose.gaze_y), exposure)
    paint_inside(canvas, identity, anatomy, edges, units["AU26"], exposure)
    paint_glasses(canvas, identity, anatomy, exposure)
    return image


def _illuminate(image: Image, head: Head, vector: Activations, light: Light) -> None:
    across, down, hollow = head.relief.under(vector)
    toward = light.direction.astype(np.float32)
    length = np.float32(1.0) / np.sqrt(1.0 + across * across + down * down)
    facing = (toward[2] - across * toward[0] - down * toward[1]) * length
    wrapped = np.maximum((facing + 0.25) / 1.25, 0.0)
    tone = light.room * (0.75 + 0.25 * length) + light.lamp * wrapped
    tone *= np.clip(1.0 - _HOLLOW_SHADE * hollow, 0.45, 1.25)
    image *= tone[..., None] * light.tint
    half = toward + np.array([0.0, 0.0, 1.0], np.float32)
    half /= np.float32(np.linalg.norm(half))
    glint = np.maximum((half[2] - across * half[0] - down * half[1]) * length, 0.0)
    for _ in range(4):
        glint *= glint
    image += (glint * head.skin * (_SHEEN * light.lamp))[..., None]


@lru_cache(maxsize=8)
def _frame_grid(size: int) -> tuple[Image, Image]:
    unit = UNITS_PER_FRAME / size
    axis = (np.arange(size) + 0.5) * unit
    x, y = np.meshgrid(axis - ORIGIN[0] * UNITS_PER_FRAME, axis - ORIGIN[1] * UNITS_PER_FRAME)
    return x.astype(np.float32), y.astype(np.float32)


def _columns(head: Head, pose: Pose, size: int) -> slice:
    """The columns of the frame in which the head can be seen."""
    lean = abs(np.sin(np.radians(pose.roll))) * 1.7
    reach = 1.5 * (head.raster.right + lean) if pose.scale > 1.3 else head.raster.right + lean + 0.3
    middle = ORIGIN[0] + pose.x / UNITS_PER_FRAME
    half = reach / UNITS_PER_FRAME
    return slice(max(int((middle - half) * size), 0), max(int((middle + half) * size) + 1, 0))


def _sources(head: Head, jaw: float, pose: Pose, size: int, columns: slice) -> tuple[Image, Image]:
    """For each pixel of the frame's columns, the pixel of the head's layer that is seen there."""
    raster = head.raster
    x, y = (axis[:, columns] for axis in _frame_grid(size))
    yaw, pitch = np.radians(np.clip([pose.yaw, pose.pitch], -MAXIMUM_TURN, MAXIMUM_TURN))
    roll = np.radians(np.clip(pose.roll, -MAXIMUM_TURN, MAXIMUM_TURN))
    scale = np.clip(pose.scale, 0.5, 1.5)
    cos, sin = np.float32(np.cos(roll) / scale), np.float32(np.sin(roll) / scale)
    shifted_x, shifted_y = x - np.float32(pose.x), y - np.float32(pose.y)
    turned_x, turned_y = cos * shifted_x + sin * shifted_y, cos * shifted_y - sin * shifted_x
    column, row = _pixel(raster.left, turned_x, raster.density), turned_y
    row = _pixel(raster.top, turned_y - lift_map(turned_x, turned_y, jaw), raster.density)
    base_column, base_row = column, row
    push_x = np.float32(np.sin(yaw) * raster.density)
    push_y = np.float32(np.sin(pitch) * raster.density)
    # Depth is smooth, so three rounds of the fixed point are exact to a fraction of a pixel.
    for _ in range(3 if push_x or push_y else 0):
        depth = cv2.remap(head.relief.depth, column, row, cv2.INTER_LINEAR)
        column, row = base_column - push_x * depth, base_row - push_y * depth
    return column, row


def _pixel(start: float, units: Image, density: float) -> Image:
    return np.asarray((units - np.float32(start)) * np.float32(density) - np.float32(0.5))


def _placed(
    head: Head, image: Image, vector: Activations, pose: Pose, light: Light
) -> NDArray[np.uint8]:
    size = len(head.scene)
    layer = np.empty((*image.shape[:2], 4), np.uint8)
    layer[..., :3] = np.clip(image, 0.0, 255.0, out=image) * head.alpha[..., None] + 0.5
    layer[..., 3] = head.alpha * 255.0
    jaw = float(vector[AU_INDEX["AU26"]])
    frame, columns = _lit_scene(head.identity, size, light).copy(), _columns(head, pose, size)
    if columns.start < min(columns.stop, size):
        column, row = _sources(head, jaw, pose, size, columns)
        seen = cv2.remap(layer, column, row, cv2.INTER_LINEAR)
        behind = frame[:, columns] * (1.0 - seen[..., 3:] * np.float32(1 / 255))
        np.minimum(behind + seen[..., :3] + 0.5, 255.0, out=behind)
        frame[:, columns] = behind
    return frame


@lru_cache(maxsize=16)
def _lit_scene(identity: Identity, size: int, light: Light) -> NDArray[np.uint8]:
    scene = prepare(identity, size).scene * ((light.room + 0.7 * light.lamp) * light.tint)
    return np.clip(scene + 0.5, 0.0, 255.0).astype(np.uint8)
