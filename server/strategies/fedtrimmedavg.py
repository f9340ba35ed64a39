"""`fedtrimmedavg`: the mean of the updates without the extremes, entry by entry (Yin et al. 2018).

Of n devices the `int(share n)` smallest and as many largest values of each entry are left out,
and the rest count the same. Round 0, the reference, is combined in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.update import HeadUpdate
from server.strategies.interface import Vector
from server.strategies.mean import stacked


@dataclass(frozen=True)
class FedTrimmedAvg:
    """`share` left out at each end, 0 to below 0.5."""

    share: float = 0.2
    needs_every_update = True

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The trimmed mean."""
        cut = int(self.share * len(updates))
        kept = slice(cut, len(updates) - cut)
        return {
            name: np.asarray(np.sort(stacked(updates, name), axis=0)[kept].mean(axis=0))
            for name in updates[0].arrays
        }

    def advance(self, past: None, point: Vector, move: Vector) -> tuple[None, Vector]:
        """Moved by the trimmed mean."""
        return past, np.asarray(point + move)
