"""`fedmedian`: the median of the updates, entry by entry (Yin et al., ICML 2018).

Every device counts the same, however many clips it has; fewer than half of the devices can't move
an entry beyond what the others sent. Round 0, the reference, is combined in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.update import HeadUpdate
from server.strategies.interface import Vector
from server.strategies.mean import stacked


@dataclass(frozen=True)
class FedMedian:
    """Has no settings."""

    needs_every_update = True

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The median; of an even number, the mean of the two in the middle."""
        names = updates[0].arrays
        return {name: np.asarray(np.median(stacked(updates, name), axis=0)) for name in names}

    def advance(self, past: None, point: Vector, move: Vector) -> tuple[None, Vector]:
        """Moved by the median."""
        return past, np.asarray(point + move)
