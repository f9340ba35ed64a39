"""The parametric avatar: pictures drawn in advance, of which the recognised expression picks one.

The renderer of the synthetic actors draws the sheet once, when the avatar is made
(`simulations.avatar_data.sheets`): a device runs no renderer, and this room may not import it.
A sheet is one PNG, `LEVELS` rows of eight pictures: row 0 is every expression at its faintest, the
last row at its strongest.  Nothing is blended between pictures: two mouths laid over each other are
no expression.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from client.avatar.png import picture_of, png_of
from client.avatar.sources.interface import Probabilities, check_picture, check_probabilities
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.video import Image

LEVELS: Final = 3
SMALLEST_SIDE: Final = 48
LARGEST_SIDE: Final = 512
_CHANCE: Final = 1 / len(EXPRESSIONS)
_SURE: Final = 0.85
"""From this probability on the strongest picture is shown."""


@dataclass(frozen=True, eq=False)
class AvatarSheet:
    """`AvatarSource` of drawn pictures.

    Attributes:
        pictures: (LEVELS, 8, side, side, 3) uint8 RGB, expressions in order of `EXPRESSIONS`.
        name: of the look, for people.

    Raises:
        UsageError: they have another shape.
    """

    pictures: npt.NDArray[np.uint8] = field(repr=False)
    name: str = "drawn avatar"

    def __post_init__(self) -> None:
        shape = self.pictures.shape
        square = len(shape) == 5 and shape[2] == shape[3] and shape[4] == 3
        sized = square and SMALLEST_SIDE <= shape[2] <= LARGEST_SIDE
        if not sized or shape[:2] != (LEVELS, len(EXPRESSIONS)) or self.pictures.dtype != np.uint8:
            raise UsageError(
                f"the avatar's pictures are {self.pictures.dtype} of shape {shape}, expected uint8 "
                f"({LEVELS}, {len(EXPRESSIONS)}, side, side, 3), side {SMALLEST_SIDE} to "
                f"{LARGEST_SIDE}"
            )

    @property
    def side(self) -> int:
        """Of a picture in pixels."""
        return int(self.pictures.shape[2])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the pictures."""
        told = str(self.pictures.shape).encode() + np.ascontiguousarray(self.pictures).tobytes()
        return hashlib.sha256(told).hexdigest()

    def draw(self, face: Image, probabilities: Probabilities) -> Image:
        """The likeliest expression's picture, stronger the surer; see `AvatarSource`."""
        check_picture(face, "the face")
        return self.picture(probabilities)

    def picture(self, probabilities: Probabilities) -> Image:
        """As `draw`: the face decides nothing here."""
        level, expression = chosen(probabilities)
        return np.ascontiguousarray(self.pictures[level, expression])

    def to_png(self) -> bytes:
        """The sheet as one PNG, see the module."""
        rows = self.pictures.transpose(0, 2, 1, 3, 4)
        atlas = rows.reshape(LEVELS * self.side, len(EXPRESSIONS) * self.side, 3)
        return png_of(atlas)

    @classmethod
    def from_png(cls, content: bytes, name: str = "drawn avatar") -> AvatarSheet:
        """Inverse of `to_png`.

        Raises:
            UsageError: it is no such sheet.
        """
        atlas = picture_of(content, "the avatar's sheet")
        side = atlas.shape[0] // LEVELS
        if atlas.shape != (LEVELS * side, len(EXPRESSIONS) * side, 3):
            raise UsageError(
                f"the avatar's sheet is {atlas.shape[1]} x {atlas.shape[0]} pixels, expected "
                f"{len(EXPRESSIONS)} x {LEVELS} squares; make it with `mien avatar new`"
            )
        rows = atlas.reshape(LEVELS, side, len(EXPRESSIONS), side, 3)
        return cls(np.ascontiguousarray(rows.transpose(0, 2, 1, 3, 4)), name)


def chosen(probabilities: Probabilities) -> tuple[int, int]:
    """Level and expression of the picture to show.

    >>> chosen(np.array([0, 0, 0.99, 0.01, 0, 0, 0, 0])), chosen(np.full(8, 0.125))
    ((2, 2), (0, 0))
    """
    shares = check_probabilities(probabilities)
    expression = int(np.argmax(shares))
    strength = (float(shares[expression]) - _CHANCE) / (_SURE - _CHANCE)
    return min(LEVELS - 1, int(LEVELS * max(0.0, strength))), expression
