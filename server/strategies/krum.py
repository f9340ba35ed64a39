"""`krum`: the one update that lies closest to its neighbours (Blanchard et al., NeurIPS 2017).

Of n devices f = `int(share n)` are taken to be faulty. An update's score is the sum of its squared
distances to its n - f - 2 nearest others (at least one), over all arrays together; the update of
the least score is taken as it is. Every device counts the same, however many clips it has. The
paper's guarantee needs n >= 2 f + 3. Round 0, the reference, is combined in the same way: it is
then the reference of one device, which is why `multikrum` is the better choice for most fleets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.update import HeadUpdate
from server.strategies.interface import Vector
from server.strategies.mean import stacked


@dataclass(frozen=True)
class Krum:
    """`share` of the devices that may be faulty, 0 to below 0.5."""

    share: float = 0.2
    needs_every_update = True

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The chosen update."""
        (chosen,) = nearest(updates, int(self.share * len(updates)), 1)
        return {name: array.astype(np.float64) for name, array in chosen.arrays.items()}

    def advance(self, past: None, point: Vector, move: Vector) -> tuple[None, Vector]:
        """Moved by the chosen update."""
        return past, np.asarray(point + move)


def nearest(updates: Sequence[HeadUpdate], faulty: int, count: int) -> list[HeadUpdate]:
    """The `count` updates of the least scores; equal scores by the updates' digests."""
    ordered = sorted(updates, key=lambda update: update.sha256)
    totals = scores(ordered, faulty)
    return [ordered[place] for place in np.argsort(totals, kind="stable")[:count]]


def scores(updates: Sequence[HeadUpdate], faulty: int) -> Vector:
    """(updates,) sum of squared distances to the `len(updates) - faulty - 2` nearest others.

    A single update has score 0. Memory: two float64 copies of all updates.
    """
    rows = np.concatenate(
        [stacked(updates, name).reshape(len(updates), -1) for name in updates[0].arrays], axis=1
    )
    neighbours = max(1, len(updates) - faulty - 2)
    totals = np.zeros(len(updates))
    for place, row in enumerate(rows):
        distances = np.delete(np.square(rows - row).sum(axis=1), place)
        totals[place] = np.sort(distances)[:neighbours].sum()
    return totals
