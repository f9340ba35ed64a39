"""Networks that name the expression in a picture: what figures of generators are made with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from client.avatar.check import Checker, load_checker
from client.personalisation.heads import PersonalHead, PersonalSettings
from client.personalisation.maximum_a_posteriori import fit_personal
from common.backbones.registry import DEFAULT_BACKBONE
from common.errors import UsageError
from common.expressions import EXPRESSIONS, expression_index
from common.heads.standardise import Rows, own_scale, own_units, power
from common.video import Image
from simulations.avatar_data.faces import LabelledFace

CLASSES: Final = len(EXPRESSIONS)
_STRENGTH: Final = 1.0


class PictureReader(Protocol):
    """Names expressions."""

    @property
    def name(self) -> str:
        """Which network, and what it was trained on."""
        ...

    @property
    def knows(self) -> frozenset[int]:
        """Expressions that it can answer; pictures of others tell nothing."""
        ...

    def label(self, picture: Image) -> int:
        """Index into `EXPRESSIONS` of what an RGB picture shows."""
        ...

    def close(self) -> None:
        """Stop the engine's threads."""
        ...


class BackboneReader:
    """`PictureReader` by a backbone's own labels."""

    knows: Final = frozenset(range(CLASSES)) - {expression_index("calm")}
    """No classifier knows calm, see `common.backbones.labelled`."""

    def __init__(self, id: str) -> None:
        """Raises:
        UsageError, WorkError: see `load_checker`.
        """
        self._checker, self._id = load_checker(id), id

    @property
    def name(self) -> str:
        """The backbone's id."""
        return f"{self._id}, its own labels"

    def label(self, picture: Image) -> int:
        """See `PictureReader`.

        Raises:
            UsageError: the backbone has no labels.
        """
        own = self._checker.read_avatar(picture).own
        if own is None:
            raise UsageError(f"{self._id} has no labels of its own; choose another --backbone")
        return int(own.argmax())

    def close(self) -> None:
        """See `PictureReader`."""
        self._checker.close()


@dataclass(frozen=True, eq=False)
class FittedReader:
    """`PictureReader` by a backbone's features and a head that was fitted to faces with labels.

    Attributes:
        checker: finds and reads.
        head: on features in units of the faces.
        scale: mean and spread of the faces' features.
        name: of it.
    """

    checker: Checker
    head: PersonalHead
    scale: tuple[Rows, Rows]
    name: str

    @property
    def knows(self) -> frozenset[int]:
        """All of `EXPRESSIONS`."""
        return frozenset(range(CLASSES))

    def label(self, picture: Image) -> int:
        """See `PictureReader`."""
        row = own_units(power(self.checker.read_avatar(picture).features), self.scale)
        return int(self.head.logits(np.zeros((1, CLASSES)), row)[0].argmax())

    def close(self) -> None:
        """See `PictureReader`."""
        self.checker.close()


def fitted_reader(faces: Iterable[LabelledFace], trained_on: str) -> FittedReader:
    """A reader of drawn faces: the built-in backbone with a logistic head (L2, convex).

    Args:
        faces: with labels, of several people.
        trained_on: says whose faces these are.
    """
    checker = load_checker(DEFAULT_BACKBONE)
    features: list[npt.NDArray[np.float32]] = []
    labels: list[int] = []
    for face in faces:
        features.append(checker.read_avatar(face.picture).features[0])
        labels.append(face.label)
    rows = power(np.stack(features))
    scale = own_scale(rows)
    settings = PersonalSettings(strength=_STRENGTH, scale=0.0)
    nothing = np.zeros((len(labels), CLASSES))
    head = fit_personal(nothing, own_units(rows, scale), np.array(labels), settings)
    return FittedReader(checker, head, scale, f"{DEFAULT_BACKBONE} with a head for {trained_on}")
