"""Clip features: every usable frame of a clip through detector, crop and backbone.

Works batch by batch, so memory is bounded by the batch and the frame size, not by the clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from common.backbones.registry import Backbone, feature_spec
from common.video import Image
from common.video.crop import align_face
from common.video.decode import ClipError, Reason, batches, frames
from common.video.faces import Detector, largest

BATCH: Final = 8
"""Frames that are held at once."""


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """The frame features of one clip.

    Attributes:
        features: (with_face, dimension) float32, in the frames' order, at least one row.
        decoded: frames that were looked at.
        with_face: frames with a face; the others have no row.
        several_faces: frames with more than one face, of which the largest was used.
        spec: what made the features, see `feature_spec`.
    """

    features: npt.NDArray[np.float32]
    decoded: int
    with_face: int
    several_faces: int
    spec: str

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.features.dtype != np.float32:
            raise ValueError("features are not a (frames, dimension) float32 array")
        if not len(self.features) == self.with_face <= self.decoded:
            raise ValueError("the frame counts do not fit the features")
        if not 0 <= self.several_faces <= self.with_face or self.with_face < 1:
            raise ValueError("the face counts do not fit the features")


def extract(
    path: Path,
    backbone: Backbone,
    detector: Detector,
    *,
    every: int = 1,
    max_frames: int | None = None,
    batch: int = BATCH,
) -> ClipFeatures:
    """Features of the largest face in each frame of a clip.

    Args:
        path: the video file.
        backbone: makes the frame features.
        detector: finds the faces.
        every: take every k-th frame, k at least 1.
        max_frames: look at no more than so many frames.
        batch: frames that are held and processed together, at least 1.

    Raises:
        UsageError: `every` or `max_frames` is below 1.
        ClipError: the file is unusable, or no frame shows a face.
    """
    decoded = several = 0
    rows: list[npt.NDArray[np.float32]] = []
    for pictures in batches(frames(path, every=every, max_frames=max_frames), batch):
        crops, crowded = _crops(pictures, detector, backbone.record.input_size)
        decoded += len(pictures)
        several += crowded
        if crops:
            rows.append(backbone.features(np.stack(crops)))
    if not rows:
        raise ClipError(Reason.NO_FACE, path)
    features = np.concatenate(rows)
    return ClipFeatures(features, decoded, len(features), several, feature_spec(backbone.record))


def _crops(pictures: Sequence[Image], detector: Detector, size: int) -> tuple[list[Image], int]:
    """Crops of the largest faces, and in how many pictures there were several."""
    found = detector.detect(pictures)
    crops = [
        align_face(picture, largest(faces), size)
        for picture, faces in zip(pictures, found, strict=True)
        if faces
    ]
    return crops, sum(len(faces) > 1 for faces in found)
