"""Detectors and a backbone that can be predicted by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.backbones.engines.base import Done, Pending
from common.backbones.registry import MINI_XCEPTION, BackboneRecord
from common.video import Image
from common.video.faces import Box, Face, Landmarks, Point


def upright_face(left: float, top: float, right: float, bottom: float) -> Face:
    """A face with level eyes whose landmarks call for the same square as its box.

    That square has the box's centre and longer side, see `common.video.crop`: the landmarks' mean
    lies 0.07 sides below the centre, and their spread is the side over 2.095.
    """
    side = max(right - left, bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2 + 0.07 * side
    offsets = ((-0.2, -0.2), (0.2, -0.2), (0.0, 0.0), (-0.15, 0.2), (0.15, 0.2))
    unit = side / 2.095 / math.hypot(*(value for offset in offsets for value in offset))
    marks = (Point(x + across * unit, y + down * unit) for across, down in offsets)
    return Face(Box(left, top, right, bottom), Landmarks(*marks), 0.99)


def moved(face: Face, right: float, down: float = 0.0, probability: float = 0.99) -> Face:
    """The face so many pixels further to the right and down."""
    left, top, *others = face.box
    box = Box(left + right, top + down, others[0] + right, others[1] + down)
    marks = Landmarks(*(Point(x + right, y + down) for x, y in face.landmarks))
    return Face(box, marks, probability)


class BoxDetector:
    """The same faces in each frame, none in frames darker than `dark`."""

    def __init__(self, *faces: Face, dark: float = -1.0) -> None:
        self.faces = list(faces)
        self.dark = dark
        self.batches: list[int] = []

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        self.batches.append(len(frames))
        return [list(self.faces) if frame.mean() > self.dark else [] for frame in frames]


class MeanBackbone:
    """Feature = the crop's mean level, in all dimensions."""

    record: BackboneRecord = MINI_XCEPTION
    provenance = "mini-xception/1/1 by hand"

    def __init__(self) -> None:
        self.calls = 0

    def features(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.calls += 1
        means = crops.reshape(len(crops), -1).mean(axis=1, dtype=np.float64)
        return np.repeat(means[:, None], self.record.dimension, axis=1).astype(np.float32)

    def submit(self, crops: npt.NDArray[np.uint8]) -> Pending:
        return Done(self.features(crops))

    def close(self) -> None:
        """Nothing to stop."""
