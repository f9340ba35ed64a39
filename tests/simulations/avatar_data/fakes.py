"""Flat faces of three people, a maker that copies them, and a reader of colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from client.avatar.png import png_of
from common.expressions import EXPRESSIONS
from common.video import Image
from simulations.avatar_data.faces import LabelledFace
from tests.client.avatar.fakes import STEP, flat

PEOPLE = ("ada", "bo", "cy")


def flat_faces(people: Sequence[str] = PEOPLE) -> list[LabelledFace]:
    return [
        LabelledFace(label, person, f"{person} {name}", partial(flat, name))
        for person in people
        for label, name in enumerate(EXPRESSIONS)
    ]


def face_folder(folder: Path, people: Sequence[str] = PEOPLE) -> Path:
    """`flat_faces` as files."""
    for face in flat_faces(people):
        path = folder / face.person / EXPRESSIONS[face.label] / "1.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(png_of(face.picture))
    return folder


@dataclass(frozen=True)
class Copies:
    """A maker whose avatars are the faces, or neutral where S is above 0.3."""

    structure: float | None = 0.2
    colour: float | None = 0.1
    name: str = "copies"

    @property
    def weights(self) -> tuple[float | None, float | None]:
        return self.structure, self.colour

    def weighted(self, structure: float | None, colour: float | None) -> Copies:
        return replace(
            self,
            structure=self.structure if structure is None else structure,
            colour=self.colour if colour is None else colour,
        )

    def avatar(self, face: LabelledFace) -> Image:
        return flat("neutral") if (self.structure or 0) > 0.3 else face.picture


@dataclass(frozen=True)
class Colour:
    """A reader of flat pictures; expressions in `confused` are neutral to it."""

    confused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    name: str = "colours"

    @property
    def knows(self) -> frozenset[int]:
        return frozenset(range(8)) - {EXPRESSIONS.index(each) for each in self.unknown}

    def label(self, picture: Image) -> int:
        label = int(np.rint(picture.mean() / STEP))
        return 0 if EXPRESSIONS[label] in self.confused else label

    def close(self) -> None:
        pass


def nobody(phase: str, done: int, total: int) -> None:
    """A watcher who looks away."""
