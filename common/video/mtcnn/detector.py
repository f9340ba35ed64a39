"""The cascade as a detector of faces in full-size frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.video import Image
from common.video.faces import (
    SMALLEST_FACE,
    Box,
    Face,
    Landmarks,
    MtcnnSettings,
    Point,
    reduce_frame,
)
from common.video.mtcnn.cascade import Cascade, Found
from common.video.mtcnn.weights import mtcnn_weights


class FastMtcnn:
    """Finds faces in reduced frames and places known ones in full-size frames, on OpenVINO."""

    def __init__(self, settings: MtcnnSettings | None = None, *, threads: int = 1) -> None:
        """Load the networks.

        Raises:
            WorkError: their weights are missing or not the expected ones.
        """
        self._settings = settings or MtcnnSettings()
        self._cascade = Cascade(
            mtcnn_weights(),
            smallest=self._settings.smallest_face,
            factor=self._settings.factor,
            thresholds=self._settings.thresholds,
            threads=threads,
        )

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        """Faces per frame; frames may differ in size."""
        return [self._detect_one(frame) for frame in frames]

    def place(self, frame: Image, faces: Sequence[Face]) -> list[Face]:
        """Each face as it is in `frame`, given where it was shortly before."""
        if not faces:
            return []
        found = self._cascade.place(frame, np.array([face.box for face in faces], dtype=float))
        return _faces(found, (1.0, 1.0))

    def _detect_one(self, frame: Image) -> list[Face]:
        reduced = reduce_frame(frame, self._settings.longer_side)
        if min(reduced.shape[:2]) < SMALLEST_FACE:
            return []
        height, width = frame.shape[:2]
        scale = width / reduced.shape[1], height / reduced.shape[0]
        faces = _faces(self._cascade.find(reduced), scale)
        return [face for face in faces if face.box.area > 0]


def _faces(found: Found, scale: tuple[float, float]) -> list[Face]:
    corners = (found.boxes.reshape(-1, 2, 2) * scale).reshape(-1, 4).tolist()
    marks = (found.landmarks * scale).tolist()
    return [
        Face(Box(*corner), Landmarks(*(Point(*point) for point in mark)), float(probability))
        for corner, mark, probability in zip(corners, marks, found.probabilities, strict=True)
    ]
