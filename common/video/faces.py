"""Faces in frames: boxes, five landmarks and a probability each.

The detector is MTCNN (Zhang et al. 2016, IEEE Signal Processing Letters 23(10)) with the weights
that come inside facenet-pytorch; nothing is downloaded.  It looks at reduced frames, since a face
that is worth recognising is large in the frame, and its cost grows with the area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from common.video import Image
from common.video.resize import shrink

SMALLEST_FACE: Final = 20
"""Pixels of the reduced frame; MTCNN's first network sees 12 x 12, below 20 it guesses."""


class Point(NamedTuple):
    """Pixel position: x to the right, y down, (0, 0) the outer corner of the first pixel."""

    x: float
    y: float


class Box(NamedTuple):
    """Rectangle in pixels; may reach outside the frame."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Square pixels, never negative."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)


class Landmarks(NamedTuple):
    """Left and right are those of the picture, not of the person."""

    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point


@dataclass(frozen=True)
class Face:
    """A face in full-size frame coordinates; `probability` is the detector's, 0..1."""

    box: Box
    landmarks: Landmarks
    probability: float


class Detector(Protocol):
    """Finds all faces in each frame."""

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        """One list of faces per frame, in the frames' order; empty where there is none."""
        ...


def largest(faces: Sequence[Face]) -> Face:
    """The face with the largest box; of equals the more probable, then the leftmost.

    Raises:
        ValueError: there is no face.
    """
    return max(faces, key=lambda face: (face.box.area, face.probability, -face.box.left))


@dataclass(frozen=True)
class MtcnnSettings:
    """How MTCNN searches.

    Attributes:
        longer_side: frames are reduced until their longer side has so many pixels.
        smallest_face: side of the smallest face searched for, pixels of the reduced frame.
        factor: step of the image pyramid, between 0 and 1; 0.6 takes about two thirds of
            the time of the usual 0.709.
        thresholds: least probability after each of the three networks; the published ones.
        batch: most frames that go through the networks together.
    """

    longer_side: int = 240
    smallest_face: int = 40
    factor: float = 0.6
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    batch: int = 8

    def __post_init__(self) -> None:
        if not SMALLEST_FACE <= self.smallest_face <= self.longer_side:
            raise ValueError(
                f"smallest_face is {self.smallest_face}, expected {SMALLEST_FACE} "
                f"to longer_side ({self.longer_side})"
            )
        if not 0 < self.factor < 1:
            raise ValueError(f"factor is {self.factor}, expected between 0 and 1")
        if self.batch < 1:
            raise ValueError(f"batch is {self.batch}, expected at least 1")


class MtcnnDetector:
    """`Detector` by facenet-pytorch's MTCNN on the CPU."""

    def __init__(self, settings: MtcnnSettings | None = None) -> None:
        # Imported here so that whoever only needs the types starts without torch.
        import torch
        from facenet_pytorch import MTCNN

        self._settings = settings or MtcnnSettings()
        network = MTCNN(
            keep_all=True,
            min_face_size=self._settings.smallest_face,
            factor=self._settings.factor,
            thresholds=list(self._settings.thresholds),
        )
        # Same numbers, about 1.5 times as fast: pooling is vectorised in this layout only.
        self._network = network.to(memory_format=torch.channels_last).eval()

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        """Faces per frame; frames may differ in size."""
        found: list[list[Face]] = []
        for _, group in groupby(frames, key=lambda frame: frame.shape):
            alike = list(group)
            for start in range(0, len(alike), self._settings.batch):
                found += self._detect_alike(alike[start : start + self._settings.batch])
        return found

    def _detect_alike(self, frames: Sequence[Image]) -> list[list[Face]]:
        reduced = [reduce_frame(frame, self._settings.longer_side) for frame in frames]
        shorter_side = min(reduced[0].shape[:2])
        if shorter_side < SMALLEST_FACE:
            return [[] for _ in frames]
        self._network.min_face_size = min(self._settings.smallest_face, shorter_side)
        columns = self._network.detect(np.stack(reduced), landmarks=True)
        height, width = frames[0].shape[:2]
        scale = (width / reduced[0].shape[1], height / reduced[0].shape[0])
        return [
            _faces(boxes, probabilities, points, scale)
            for boxes, probabilities, points in zip(*columns, strict=True)
        ]


def reduce_frame(frame: Image, longer_side: int) -> Image:
    """The frame with its longer side at most `longer_side` pixels, never enlarged."""
    height, width = frame.shape[:2]
    if max(height, width) <= longer_side:
        return frame
    ratio = longer_side / max(height, width)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return shrink(frame, *size)


def _faces(boxes: Any, probabilities: Any, points: Any, scale: tuple[float, float]) -> list[Face]:
    if boxes is None:
        return []
    corners = _full_size(boxes, (-1, 2, 2), scale)
    marks = _full_size(points, (-1, 5, 2), scale)
    found = [
        Face(
            Box(*(float(value) for value in corner.ravel())),
            Landmarks(*(Point(float(x), float(y)) for x, y in mark)),
            float(probability),
        )
        for corner, mark, probability in zip(corners, marks, probabilities, strict=True)
    ]
    return [face for face in found if face.box.area > 0]


def _full_size(
    values: Any, shape: tuple[int, ...], scale: tuple[float, float]
) -> npt.NDArray[np.float64]:
    reduced = np.array(values, dtype=np.float64).reshape(shape)
    return np.multiply(reduced, scale, dtype=np.float64)
