"""What every source of avatars can do."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.video import Image

Probabilities = npt.NDArray[np.floating]
"""(8,) of `EXPRESSIONS`, sum 1."""


class AvatarSource(Protocol):
    """Makes one person's avatar, picture by picture; may be called from one thread at a time."""

    @property
    def name(self) -> str:
        """For people: what draws it."""
        ...

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of all that decides what it draws; equal digests draw alike."""
        ...

    def draw(self, face: Image, probabilities: Probabilities) -> Image:
        """The avatar for a moment.

        Args:
            face: RGB, (height, width, 3) uint8, the person's face, which may fill the picture.
            probabilities: of the expressions that were recognised in it.

        Returns:
            RGB, (height, width, 3) uint8, of a size of its own.

        Raises:
            UsageError: the arguments are no picture or no probabilities.
            WorkError: the source can't draw.
        """
        ...


def check_picture(picture: Image, what: str) -> Image:
    """`picture`, if it is one.

    Raises:
        UsageError: it is not (height, width, 3) uint8 with a pixel at least; names `what` it is.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise UsageError(
            f"{what} is {picture.dtype} of shape {picture.shape}, expected an RGB picture, "
            "(height, width, 3) uint8"
        )
    return picture


def check_probabilities(probabilities: Probabilities) -> npt.NDArray[np.float64]:
    """(8,) float64 with sum 1.

    Raises:
        UsageError: they are not finite, below 0 or of another number.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    wanted = (len(EXPRESSIONS),)
    if given.shape != wanted or not np.isfinite(given).all() or given.min() < 0 or not given.sum():
        raise UsageError(
            f"probabilities have shape {given.shape}, expected {wanted}: one for each of "
            "EXPRESSIONS, finite and not below 0"
        )
    return np.asarray(given / given.sum())
