"""What every strategy is: two pure functions, and nothing that it remembers by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from common.update import HeadUpdate

Vector = npt.NDArray[np.float64]
Moves = Mapping[str, Vector]


class Strategy(Protocol):
    """A strategy with its settings.

    What it keeps from round to round is handed to it and returned by it, for each branch on its
    own; None before the first head round.
    """

    @property
    def needs_every_update(self) -> bool:
        """Whether the updates' mean is not enough for it."""
        ...

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """One move out of the updates (at least one, all of the same arrays), in float64.

        The order of `updates` changes no bit of it.
        """
        ...

    def advance(self, past: Any, point: Vector, move: Vector) -> tuple[Any, Vector]:
        """What to keep, and the branch's next point.

        Args:
            past: what it returned in the round before, None in the first.
            point: (parameters,) of the branch as it was sent out.
            move: (parameters,) from `combine`.
        """
        ...
