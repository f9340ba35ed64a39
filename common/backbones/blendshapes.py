"""52 expression blendshapes as a backbone: two networks of MediaPipe's Face Landmarker.

MediaPipe itself is not used: its releases report their use to a server, and Mien sends nothing.
The model file is an archive with three networks.  The landmark network places 478 landmarks on the
crop; the blendshape network turns 146 of them into coefficients 0..1, named as in ARKit.  The
third, the detector, is not needed: the crop is already about one and a half times the face, level
and square, which is what MediaPipe cuts out.  Which landmarks, in which order, is given by
MediaPipe's face_blendshapes_graph.cc (Apache-2.0).

Where the landmark network sees no face, all coefficients are 0.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from common.backbones.engines.base import CropByCrop, Crops, Features
from common.backbones.engines.openvino import CompiledModel, openvino_provenance
from common.backbones.records import BackboneRecord
from common.errors import WorkError

_LANDMARKS: Final = "face_landmarks_detector.tflite"
_COEFFICIENTS: Final = "face_blendshapes.tflite"
_SUBSET: Final = (
    *(0, 1, *range(4, 9), 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, *range(52, 56), 58, 61, 63),
    *(65, 66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133),
    *(136, 144, 145, 146, 148, 149, 150, *range(152, 156), *range(157, 164), 168, 172, 173, 176),
    *(178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, *range(282, 286)),
    *(288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332),
    *(334, 336, 338, 356, 361, 362, 365, 373, 374, 375, *range(377, 383), *range(384, 391), 397),
    *(398, 400, 402, 405, 409, 415, 454, 466, *range(468, 478)),
)


def blendshapes_engine(
    record: BackboneRecord, model: Path, *, precision: str, threads: int
) -> CropByCrop:
    """The engine of the backbone blendshapes.

    Args:
        record: its record.
        model: the model file.
        precision: see `openvino_engine`.
        threads: crops inferred at the same time.

    Raises:
        UsageError: the CPU has no bfloat16.
        WorkError: the file is missing or is not the one of the record.
    """
    landmarker, coefficients = _networks(_checked(model, record), precision, threads)

    def infer(crop: Crops) -> Features:
        landmarks, presence, *_ = landmarker(crop.astype(np.float32) / np.float32(255))
        if presence.item() < 0:  # a logit: less likely than not
            return np.zeros((1, record.dimension), np.float32)
        points = landmarks.reshape(-1, 3)[list(_SUBSET), :2]
        found = coefficients(np.ascontiguousarray(points[None]))[0]
        return np.array(found, dtype=np.float32).reshape(1, record.dimension)

    provenance = openvino_provenance(precision)
    return CropByCrop(infer, dimension=record.dimension, threads=threads, provenance=provenance)


def _checked(path: Path, record: BackboneRecord) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WorkError(f"{path}: the model cannot be read ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != record.sha256:
        raise WorkError(f"{path}: SHA-256 is {found}, expected {record.sha256} ({record.source})")
    return content


def _networks(content: bytes, precision: str, threads: int) -> list[CompiledModel]:
    # OpenVINO reads this format from files only.
    with (
        zipfile.ZipFile(io.BytesIO(content)) as archive,
        tempfile.TemporaryDirectory(prefix="mien-blendshapes-") as folder,
    ):
        return [
            CompiledModel(Path(archive.extract(name, folder)), precision=precision, threads=threads)
            for name in (_LANDMARKS, _COEFFICIENTS)
        ]
