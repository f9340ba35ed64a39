"""`multikrum`: the mean of the updates that lie closest to their neighbours.

Scores are those of `krum` (Blanchard et al., NeurIPS 2017); of n devices with f = `int(share n)`
taken to be faulty, the n - f - 2 updates of the least scores (at least one) are averaged, each
counting the same: as many as a score has terms. How robust that is, is bounded in Bareilles et al.
(arXiv:2602.03899, 2026). Round 0, the reference, is combined in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.update import HeadUpdate
from server.strategies.interface import Vector
from server.strategies.krum import nearest
from server.strategies.mean import stacked


@dataclass(frozen=True)
class MultiKrum:
    """`share` of the devices that may be faulty, 0 to below 0.5."""

    share: float = 0.2
    needs_every_update = True

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The mean of the chosen updates."""
        faulty = int(self.share * len(updates))
        chosen = nearest(updates, faulty, max(1, len(updates) - faulty - 2))
        return {name: stacked(chosen, name).mean(axis=0) for name in updates[0].arrays}

    def advance(self, past: None, point: Vector, move: Vector) -> tuple[None, Vector]:
        """Moved by the mean of the chosen."""
        return past, np.asarray(point + move)
