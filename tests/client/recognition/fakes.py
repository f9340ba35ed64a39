"""A stage on which coloured rectangles play people: who is there can be read from the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from client.recognition.answer import PERSONAL, UNIVERSAL
from client.recognition.clip import Tools
from client.vault.records import Floats, GalleryEntry
from common.backbones.engines.base import Done, Pending
from common.backbones.labelled import LabelledBackbone
from common.backbones.records import MINI_XCEPTION, BackboneRecord
from common.identity.network import Embeddings, FramedFace, identity_spec
from common.identity.records import DLIB_RESNET, IdentityRecord
from common.video import Image
from common.video.faces import Face, Landmarks
from common.video.tracking import EveryFrame
from tests.common.video.fakes import upright_face
from tests.common.video.files import encode

HEIGHT, WIDTH = 96, 192
PLACES = ((8.0, 8.0, 88.0, 88.0), (120.0, 24.0, 168.0, 72.0))
"""Boxes of a near and of a far place."""
SPEC = identity_spec(DLIB_RESNET)
NOBODY, ANN, BOB, CARL = 0, 1, 2, 3
_STEP = 60


def frame(near: int = NOBODY, far: int = NOBODY, *, mood: int = 120, turned: bool = False) -> Image:
    """A picture: red tells who is there, green the mood, blue whether the face is turned away."""
    image = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for person, box in zip((near, far), PLACES, strict=True):
        left, top, right, bottom = (round(edge) for edge in box)
        if person:
            image[top:bottom, left:right] = (_STEP * person, mood, 220 if turned else 40)
    return image


def clip(path: Path, frames: Sequence[Image]) -> Path:
    """The pictures as a video."""
    return encode(path, frames, options={"crf": "8", "preset": "ultrafast"})


class RectangleDetector:
    """Finds the people of `frame`."""

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        found = [[_face(image, box) for box in PLACES] for image in frames]
        return [[face for face in faces if face is not None] for faces in found]


def _face(image: Image, box: tuple[float, float, float, float]) -> Face | None:
    red, _, blue = _colour(image, box)
    if red < _STEP / 2:
        return None
    face = upright_face(*box)
    return _turned(face) if blue > 130 else face


def _turned(face: Face) -> Face:
    marks = face.landmarks
    eyes = marks.right_eye.x - marks.left_eye.x
    nose = marks.nose._replace(x=marks.nose.x + 0.6 * eyes)
    return replace(face, landmarks=Landmarks(*marks[:2], nose, *marks[3:]))


def _colour(image: Image, box: Sequence[float]) -> npt.NDArray[np.float64]:
    left, top, right, bottom = (round(edge) for edge in box)
    middle = image[top + 8 : bottom - 8, left + 8 : right - 8].reshape(-1, 3)
    return np.asarray(middle.mean(axis=0), dtype=np.float64)


@dataclass
class ColourIdentity:
    """Persons lie 1.4 apart, one person's embeddings about 0.2."""

    record: IdentityRecord = DLIB_RESNET
    provenance: str = "by hand"
    count: int = 0

    def embed(self, faces: Sequence[FramedFace]) -> Embeddings:
        found = np.zeros((len(faces), self.record.dimension), np.float32)
        for row, (image, face) in zip(found, faces, strict=True):
            row[round(_colour(image, face.box)[0] / _STEP)] = 1
            self.count += 1
            row[10 + self.count % 50] = 0.15
        return found

    def close(self) -> None:
        """Nothing to stop."""


class MoodRows:
    """Features are the crop's mean green; its own label is happy, the surer the greener."""

    record: BackboneRecord = MINI_XCEPTION
    provenance = "by hand"

    def features(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        green = crops[..., 1].reshape(len(crops), -1).mean(axis=1)
        rows = np.zeros((len(crops), 135), np.float32)
        rows[:, :128] = green[:, None]
        rows[:, 128 + self.record.labels.index("happy")] = green / 60
        return rows

    def submit(self, crops: npt.NDArray[np.uint8]) -> Pending:
        return Done(self.features(crops))

    def close(self) -> None:
        """Nothing to stop."""


def tools() -> Tools:
    """All of them by hand."""
    backbone = LabelledBackbone(MoodRows(), 7)
    return Tools(EveryFrame(RectangleDetector()), backbone, ColourIdentity())


def enrolled(person: int, user: str, *, spec: str = SPEC) -> GalleryEntry:
    """A user whose face is that person's."""
    embeddings = np.zeros((3, DLIB_RESNET.dimension), np.float32)
    embeddings[:, person] = 1
    embeddings[[0, 1, 2], [70, 71, 72]] = 0.15
    return GalleryEntry(user=user, spec=spec, embeddings=embeddings)


@dataclass(frozen=True)
class FixedReader:
    """Always the same answer."""

    kind: str
    reason: str
    choice: int

    def logits(self, features: Floats, own: Floats | None) -> Floats:
        found = np.zeros(8, np.float32)
        found[self.choice] = 3
        return found


@dataclass
class FixedReaders:
    """A reader by user; everybody else gets the universal one.  Remembers who was asked for."""

    by_user: Mapping[str, int] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)

    def reader(self, user: str | None) -> FixedReader:
        self.asked.append(user)
        if user in self.by_user:
            return FixedReader(PERSONAL, f"{user}'s own", self.by_user[str(user)])
        return FixedReader(UNIVERSAL, "for everybody", 0)
