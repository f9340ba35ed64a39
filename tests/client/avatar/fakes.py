"""Pictures whose colour says which expression they show, and a backbone that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from client.avatar.check import Checker
from client.avatar.sources.sheet import LEVELS, AvatarSheet
from common.backbones.engines.base import Crops, Done
from common.backbones.labelled import LabelledBackbone
from common.backbones.records import MINI_XCEPTION, feature_spec
from common.expressions import EXPRESSIONS
from common.video import Image
from common.video.faces import Box, Face, Landmarks, Point

CLASSES = len(EXPRESSIONS)
RECORD = replace(MINI_XCEPTION, id="coloured", input_size=16, dimension=CLASSES)
SPEC = feature_spec(RECORD)
STEP = 255 // (CLASSES - 1)


def flat(expression: str, side: int = 64) -> Image:
    """A picture that shows an expression, by its grey level."""
    return np.full((side, side, 3), STEP * EXPRESSIONS.index(expression), np.uint8)


def coloured_sheet(side: int = 48, name: str = "coloured") -> AvatarSheet:
    """A drawn avatar of flat pictures; green tells the level."""
    rows = np.stack([[flat(each, side) for each in EXPRESSIONS]] * LEVELS)
    rows[..., 1] += np.arange(LEVELS, dtype=np.uint8)[:, None, None, None]
    return AvatarSheet(rows, name)


class Colours:
    """A labelled backbone: features and logits both tell the grey level's expression."""

    def __init__(self, confused: Sequence[str] = ()) -> None:
        """Expressions named in `confused` are taken for neutral."""
        self.record, self.spec = RECORD, SPEC
        self.closed = False
        self._confused = [EXPRESSIONS.index(each) for each in confused]

    def submit(self, crops: Crops) -> Done:
        levels = crops[..., 0].reshape(len(crops), -1).mean(axis=1, keepdims=True) / STEP
        near = np.maximum(0.0, 1.0 - np.abs(levels - np.arange(CLASSES)))
        labels = near.argmax(axis=1)
        labels[np.isin(labels, self._confused)] = 0
        rows = np.concatenate([10 * near, 3 * np.eye(CLASSES)[labels]], axis=1)
        return Done(rows.astype(np.float32))

    def features(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, :CLASSES]

    def own(self, rows: np.ndarray) -> np.ndarray:
        return rows[0, CLASSES:]

    def close(self) -> None:
        self.closed = True


class Finder:
    """Finds one face, the whole picture, or none."""

    def __init__(self, faces: bool = True) -> None:
        self._faces = faces

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        return [[whole_face(frame)] if self._faces else [] for frame in frames]


def whole_face(frame: Image) -> Face:
    side = float(frame.shape[0])
    places = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75))
    marks = Landmarks(*(Point(x * side, y * side) for x, y in places))
    return Face(Box(0.0, 0.0, side, side), marks, 1.0)


def checker(*, faces: bool = True, confused: Sequence[str] = (), **parts: object) -> Checker:
    """A checker that reads colours."""
    backbone: LabelledBackbone = Colours(confused)  # type: ignore[assignment]
    return Checker(Finder(faces), backbone, **parts)  # type: ignore[arg-type]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
