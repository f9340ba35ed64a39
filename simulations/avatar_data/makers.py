"""Avatars of faces, with the weights S (structure) and C (colour): by a file, or drawn.

Of drawn avatars S is the share of the drawing in the picture's lightness, which carries the shapes,
and C its share in the two colour channels; S = C = 1 is the drawing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

import cv2
import numpy as np

from client.avatar.sources.generator import Generator
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.randomness import generator
from common.video import Image
from simulations.actors.cartoon import render_avatar
from simulations.actors.face import Pose, render_frame
from simulations.actors.identity import dressed
from simulations.avatar_data.faces import SIDE, LabelledFace
from simulations.avatars.difficulty import FROZEN
from simulations.avatars.manners import person, rig

_POSE: Final = Pose(scale=1.42)
DRAWN: Final = "drawn avatars"


class Maker(Protocol):
    """Makes avatars of faces."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def weights(self) -> tuple[float | None, float | None]:
        """S and C in use."""
        ...

    def weighted(self, structure: float | None, colour: float | None) -> Maker:
        """With other weights; None leaves one as it is."""
        ...

    def avatar(self, face: LabelledFace) -> Image:
        """The avatar of a face."""
        ...


@dataclass(frozen=True, eq=False)
class FileMaker:
    """`Maker` by a generator from a file."""

    source: Generator

    @property
    def name(self) -> str:
        """What its description calls it."""
        return self.source.about.name

    @property
    def weights(self) -> tuple[float | None, float | None]:
        """See `Maker`."""
        return self.source.structure, self.source.colour

    def weighted(self, structure: float | None, colour: float | None) -> FileMaker:
        """See `Maker`.

        Raises:
            UsageError: the generator has no such weight, or it is out of range.
        """
        return FileMaker(self.source.weighted(structure=structure, colour=colour))

    def avatar(self, face: LabelledFace) -> Image:
        """See `Maker`."""
        return self.source.picture(face.picture)


@dataclass(frozen=True, eq=False)
class DrawnMaker:
    """`Maker` of drawn faces' avatars; knows the faces that `drawn_pairs` gave, and no other.

    Attributes:
        drawings: by name of the face.
        structure, colour: the weights.
    """

    drawings: Mapping[str, Image]
    structure: float = 1.0
    colour: float = 1.0

    @property
    def name(self) -> str:
        """`DRAWN`."""
        return DRAWN

    @property
    def weights(self) -> tuple[float | None, float | None]:
        """See `Maker`."""
        return self.structure, self.colour

    def weighted(self, structure: float | None, colour: float | None) -> DrawnMaker:
        """See `Maker`.

        Raises:
            UsageError: a weight is not between 0 and 1.
        """
        s = self.structure if structure is None else structure
        c = self.colour if colour is None else colour
        for name, value in (("structure", s), ("colour", c)):
            if not 0 <= value <= 1:
                raise UsageError(f"the {name} weight is {value:g}, expected 0 to 1")
        return replace(self, structure=s, colour=c)

    def avatar(self, face: LabelledFace) -> Image:
        """See `Maker`."""
        return mixed(face.picture, self.drawings[face.name], self.structure, self.colour)


def mixed(face: Image, drawing: Image, structure: float, colour: float) -> Image:
    """Lightness and colour of two pictures of one size, mixed by a share each."""
    ones, others = (
        cv2.cvtColor(each, cv2.COLOR_RGB2YCrCb).astype(np.float32) for each in (face, drawing)
    )
    shares = np.array([structure, colour, colour], np.float32)
    mix = np.clip(np.rint((1 - shares) * ones + shares * others), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(mix, cv2.COLOR_YCrCb2RGB), dtype=np.uint8)


def drawn_pairs(
    actors: range, *, seed: int, per_expression: int = 1
) -> tuple[list[LabelledFace], DrawnMaker]:
    """Synthetic faces and drawings of them in the same pose, each in its own manner."""
    faces, drawings = [], {}
    for face, drawing in _drawn(actors, seed, per_expression):
        faces.append(face)
        drawings[face.name] = drawing
    return faces, DrawnMaker(drawings)


def _drawn(actors: range, seed: int, count: int) -> Iterator[tuple[LabelledFace, Image]]:
    for actor in actors:
        identity = dressed(seed, actor)
        showing, rigged = person(seed, actor, FROZEN), rig(seed, actor, FROZEN)
        for index in range(count):
            for label, name in enumerate(EXPRESSIONS):
                random = generator(seed, "avatar sweep", round=index, client=actor, user=label)
                strength = float(random.uniform(FROZEN.weakest, FROZEN.strongest))
                units = showing.show(label, strength, random)
                picture = render_frame(identity, units, _POSE, size=SIDE)
                drawing = render_avatar(identity, rigged.show(label, strength, random), _POSE, SIDE)
                told = f"actor {actor}, {name} {index}"
                yield (
                    LabelledFace(label, f"actor-{actor:02d}", told, partial(_same, picture)),
                    drawing,
                )


def _same(picture: Image) -> Image:
    return picture
