"""The weight files that Mien knows: one explicit record each.

The checksums of EmotiEffLib's files are the ids under which its repository's commit lists them.
They are Git's blob ids (SHA-1), since the commit names no others.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from common.errors import UsageError
from common.weights.files import Digests, WeightsFile

_EMOTIEFFLIB: Final = (
    "https://raw.githubusercontent.com/sb-ai-lab/EmotiEffLib/"
    "f1df0e8548c666d268826e50b7de107fd5553e9d/models"
)
_HSEMOTION_ONNX: Final = (
    "https://raw.githubusercontent.com/av-savchenko/hsemotion-onnx/"
    "bd500bd3a685013d18883c349e8940d020cacd98/models"
)
_MEDIAPIPE: Final = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1"
)
_FACENET: Final = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9"

_B0: Final = "EmotiEffNet-B0, 8 expressions"
_B2: Final = "EmotiEffNet-B2"


def _emotiefflib(path: str, git_blob_sha1: str, purpose: str) -> WeightsFile:
    return WeightsFile(
        name=path.rsplit("/", 1)[-1],
        source=f"{_EMOTIEFFLIB}/{path}",
        licence="Apache-2.0",
        git_blob_sha1=git_blob_sha1,
        purpose=purpose,
    )


_RECORDS: Final = (
    _emotiefflib(
        "affectnet_emotions/onnx/enet_b0_8_best_vgaf.onnx",
        "49772db4e87ee6df57087fba131832a959e5c64d",
        f"{_B0}, chosen on VGAF",
    ),
    _emotiefflib(
        "affectnet_emotions/onnx/enet_b0_8_best_afew.onnx",
        "d87faf71e8756d68c701ffd88b4cde4be460f57d",
        f"{_B0}, chosen on AFEW",
    ),
    _emotiefflib(
        "affectnet_emotions/onnx/enet_b0_8_va_mtl.onnx",
        "7ce9d6dd5b82b260bc19bfe7822a6ffa1abb6011",
        f"{_B0}, valence, arousal",
    ),
    _emotiefflib(
        "affectnet_emotions/onnx/enet_b2_8.onnx",
        "a7cb612cbab1ce3d50dd52e57285fb2c7ea6d0d9",
        f"{_B2}, 8 expressions",
    ),
    _emotiefflib(
        "affectnet_emotions/onnx/enet_b2_7.onnx",
        "cdd6a6070b72ed2e59e15e810ae0ecdbcb0f7626",
        f"{_B2}, 7 expressions",
    ),
    _emotiefflib(
        "affectnet_emotions/enet_b0_8_best_vgaf.pt",
        "7219cfb037209b253ea8b81cf969e60a00e9181c",
        f"{_B0}, chosen on VGAF; trainable",
    ),
    _emotiefflib(
        "affectnet_emotions/enet_b0_8_best_afew.pt",
        "9540c8beff661f1c2fca16de63b530cce24bb17d",
        f"{_B0}, chosen on AFEW; trainable",
    ),
    _emotiefflib(
        "affectnet_emotions/enet_b0_8_va_mtl.pt",
        "b7223bd1ab092a1b5a42bc04a5f4fbfe4d9f8b9b",
        f"{_B0}, valence, arousal; trainable",
    ),
    _emotiefflib(
        "affectnet_emotions/enet_b2_8.pt",
        "eed81e6368877e89f8a99cfabadae7c3ddc3a949",
        f"{_B2}, 8 expressions; trainable",
    ),
    _emotiefflib(
        "affectnet_emotions/enet_b2_7.pt",
        "5a8ccbb17913461296003be726a22b6fc40d602b",
        f"{_B2}, 7 expressions; trainable",
    ),
    _emotiefflib(
        "affectnet_emotions/mobilenet_7.h5",
        "3a3d5bb84506960a3ace7586b42b010623bae099",
        "MobileEmotiFace, 7 expressions",
    ),
    _emotiefflib(
        "pretrained_faces/state_vggface2_enet0_new.pt",
        "496a7036adeb300a6371d99bcccb28404f2f52d5",
        "EfficientNet-B0 for identity",
    ),
    # The release names no checksum. This one is what py-feat's copy of the file has as its Git LFS
    # id, and what many public projects pin for exactly this URL.
    WeightsFile(
        name="20180402-114759-vggface2.pt",
        source=f"{_FACENET}/20180402-114759-vggface2.pt",
        licence="MIT",
        sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        size=111_898_327,
        purpose="InceptionResnetV1 for identity (VGGFace2)",
    ),
    # The other home of the B0 weights. A SHA-256 says nothing about a Git id, so that the two
    # files are the same can't be shown without having one of them; until then they are two.
    WeightsFile(
        name="enet_b0_8_best_vgaf.hsemotion.onnx",
        source=f"{_HSEMOTION_ONNX}/affectnet_emotions/onnx/enet_b0_8_best_vgaf.onnx",
        licence="Apache-2.0",
        sha256="00085f9a8ef0bf8fc24a645550185703768951a53aff9f141c8637529eba1840",
        purpose=f"{_B0}, as hsemotion-onnx has it",
    ),
    # The name is that of MediaPipe's examples; the bucket calls version 1 face_landmarker.task.
    WeightsFile(
        name="face_landmarker_v2_with_blendshapes.task",
        source=f"{_MEDIAPIPE}/face_landmarker.task",
        licence="Apache-2.0",
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        purpose="MediaPipe's Face Landmarker, 52 blendshapes",
    ),
)

WEIGHTS: Final = MappingProxyType({record.name: record for record in _RECORDS})
"""Id to record; the id is the file's name in the store."""


def weights_file(name: str) -> WeightsFile:
    """The record of an id.

    Raises:
        UsageError: there is none.
    """
    if name not in WEIGHTS:
        raise UsageError(f"weights {name!r} are not in the catalogue; known: {', '.join(WEIGHTS)}")
    return WEIGHTS[name]


def recognise(digests: Digests) -> WeightsFile | None:
    """The record of the file with this content, whatever it is called."""
    return next((record for record in WEIGHTS.values() if record.matches(digests)), None)
