"""The mean of updates weighted by clips, and the mean as an engine without messages brings it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from common.heads.specification import HeadSpecification
from common.update import HeadUpdate
from server.strategies.interface import Moves, Vector


@dataclass(frozen=True)
class WeightedMean:
    """A round's updates, averaged already.

    Attributes:
        specification, stage, round: of all of the updates.
        devices: how many updates were averaged, at least 1.
        clips: their clips together.
        arrays: what `average` makes of them.
    """

    specification: HeadSpecification
    stage: str
    round: int
    devices: int
    clips: int
    arrays: Moves = field(repr=False)


def average(updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
    """The updates' mean weighted by clips, float64, whatever order they came in."""
    ordered = sorted(updates, key=lambda update: (update.sha256, update.clips))
    total = float(sum(update.clips for update in ordered))
    return {
        name: sum(
            (update.clips / total * update.arrays[name].astype(np.float64) for update in ordered),
            start=np.zeros(ordered[0].arrays[name].shape),
        )
        for name in ordered[0].arrays
    }


def stacked(updates: Sequence[HeadUpdate], name: str) -> Vector:
    """One array of all updates, (updates, *shape) float64."""
    return np.stack([update.arrays[name] for update in updates]).astype(np.float64)
