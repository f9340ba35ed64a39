"""What an identity network is, distances between embeddings, and how a face's picture is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from common.identity.records import IdentityRecord
from common.video import Image
from common.video.faces import Box, Face

Embeddings = npt.NDArray[np.float32]
"""(n, dimension) float32."""


class FramedFace(NamedTuple):
    """A face and the frame in which it is."""

    frame: Image
    face: Face


class IdentityNetwork(Protocol):
    """A loaded identity network; each cuts out and aligns faces in its own way."""

    @property
    def record(self) -> IdentityRecord:
        """What it is."""
        ...

    @property
    def provenance(self) -> str:
        """Id, version, and what runs it."""
        ...

    def embed(self, faces: Sequence[FramedFace]) -> Embeddings:
        """One embedding per face, in their order; there may be none.

        Of unit length where the record says so.  A face's embedding does not depend on the others.

        Raises:
            ValueError: a frame is no RGB picture, or a box has no area inside its frame.
        """
        ...

    def close(self) -> None:
        """Stop its threads; it must not be used afterwards."""
        ...


def identity_spec(record: IdentityRecord) -> str:
    """What made an embedding: embeddings with different specs must not be compared.

    >>> from common.identity.records import DLIB_RESNET
    >>> identity_spec(DLIB_RESNET)
    'dlib-resnet/1'
    """
    return f"{record.id}/{record.version}"


def distances(
    record: IdentityRecord, left: Embeddings, right: Embeddings
) -> npt.NDArray[np.float64]:
    """Distance of each embedding of `left` to each of `right`, (n, m), by the record's measure.

    Raises:
        ValueError: the embeddings are not the record's, or one is zero under the cosine.
    """
    for embeddings in (left, right):
        if embeddings.ndim != 2 or embeddings.shape[1] != record.dimension:
            raise ValueError(f"embeddings are {embeddings.shape}, expected (n, {record.dimension})")
    one, other = left.astype(np.float64), right.astype(np.float64)
    if record.distance == "euclidean":
        return np.asarray(np.linalg.norm(one[:, None] - other[None], axis=2))
    return np.asarray(1 - unit_length(one) @ unit_length(other).T)


def unit_length(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows divided by their Euclidean length.

    Raises:
        ValueError: a row is zero.
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise ValueError("an embedding is zero; it has no direction")
    return np.asarray(rows / lengths)


def check_frame(frame: Image) -> None:
    """Refuse what is no RGB picture.

    Raises:
        ValueError: it is none.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(f"a frame is {frame.dtype} {frame.shape}, expected uint8 (h, w, 3)")


def inside(box: Box, frame: Image) -> tuple[int, int, int, int]:
    """The whole pixels of a box that are in the frame: left, top, right, bottom.

    Raises:
        ValueError: there are none.
    """
    height, width = frame.shape[:2]
    if not np.isfinite(box).all():
        raise ValueError(f"the box {tuple(box)} is not finite")
    left, top = max(0, round(box.left)), max(0, round(box.top))
    right, bottom = min(width, round(box.right)), min(height, round(box.bottom))
    if right <= left or bottom <= top:
        raise ValueError(f"the box {tuple(box)} has no area in a frame of {width} x {height}")
    return left, top, right, bottom


def cut_box(frame: Image, face: Face, size: int) -> Image:
    """The face's box, stretched to (size, size, 3) uint8.

    Raises:
        ValueError: see `check_frame` and `inside`.
    """
    check_frame(frame)
    left, top, right, bottom = inside(face.box, frame)
    part = np.ascontiguousarray(frame[top:bottom, left:right])
    smaller = min(part.shape[:2]) >= size
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (size, size), interpolation=how), dtype=np.uint8)
