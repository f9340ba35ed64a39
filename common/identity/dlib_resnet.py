"""The built-in identity network: dlib's ResNet, with the weights of face_recognition_models.

That package is only looked up, never imported: its code needs what newer Pythons no longer bring.
dlib aligns a face itself, by five landmarks that it searches in the box it is given.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from common.errors import WorkError
from common.identity.network import (
    Embeddings,
    FramedFace,
    check_frame,
    identity_spec,
    inside,
)
from common.identity.records import IdentityRecord
from common.video import Image
from common.video.faces import Box, Face

_PACKAGE: Final = "face_recognition_models"
_PADDING: Final = 0.25


class DlibResnet:
    """`IdentityNetwork` by dlib; one embedding takes about 55 ms of one core."""

    def __init__(self, record: IdentityRecord, folder: Path | None = None) -> None:
        """Load both networks from `folder`, by default the one inside the package.

        Raises:
            WorkError: dlib or a file is missing, or a file is not the one of the record.
        """
        for package in ("dlib", *([] if folder else [_PACKAGE])):
            if importlib.util.find_spec(package) is None:
                raise WorkError(f"{record.id} needs {package}, which is not installed")
        import dlib

        place = folder or _packaged_folder()
        network, predictor = (_checked(place / name, sha256) for name, sha256 in record.sha256)
        self._record = record
        self._dlib: Any = dlib
        self._network: Any = dlib.face_recognition_model_v1(str(network))
        self._predictor: Any = dlib.shape_predictor(str(predictor))

    @property
    def record(self) -> IdentityRecord:
        """What it is."""
        return self._record

    @property
    def provenance(self) -> str:
        """Id, version, and dlib's version."""
        return f"{identity_spec(self._record)} dlib {version('dlib-bin')} float32 cpu"

    def embed(self, faces: Sequence[FramedFace]) -> Embeddings:
        """One embedding per face; its length is about 1.4 and means nothing."""
        found = np.zeros((len(faces), self._record.dimension), np.float32)
        for row, (frame, face) in zip(found, faces, strict=True):
            row[:] = self._network.compute_face_descriptor(self._aligned(frame, face))
        return found

    def close(self) -> None:
        """Nothing to stop."""

    def _aligned(self, frame: Image, face: Face) -> Any:
        check_frame(frame)
        inside(face.box, frame)
        picture = np.ascontiguousarray(frame)
        box = self._dlib.rectangle(*inside(_square(face.box), frame))
        shape = self._predictor(picture, box)
        size = self._record.input_size
        return self._dlib.get_face_chip(picture, shape, size=size, padding=_PADDING)


def _square(box: Box) -> Box:
    """The predictor learnt on square boxes: as long as the longer side, about the same centre.

    On real clips this keeps a person's embeddings nearer together, and persons further apart, than
    the box itself or its lower part.
    """
    half = max(box.right - box.left, box.bottom - box.top) / 2
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return Box(x - half, y - half, x + half, y + half)


def _packaged_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WorkError(f"the package {_PACKAGE}, which carries the weights, is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "models"


def _checked(path: Path, sha256: str) -> Path:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WorkError(f"{path}: the weights cannot be read ({error.strerror})") from error
    if found != sha256:
        raise WorkError(f"{path}: SHA-256 is {found}, expected {sha256}; reinstall {_PACKAGE}")
    return path
