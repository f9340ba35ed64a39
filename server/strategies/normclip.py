"""`normclip`: the mean of the updates, none longer than the round's median.

An update is shortened to the bound where it is longer, in its own direction; then all count the
same, however many clips a device says that it has. Norm clipping against backdoors is that of Sun
et al. (arXiv:1911.07963, 2019) with a bound that follows the round: the median of the updates'
Euclidean norms over all arrays together, which fewer than half of the devices can't lift beyond the
others' norms. Round 0, the reference, is combined in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.update import HeadUpdate
from server.norms import norm
from server.strategies.interface import Vector


@dataclass(frozen=True)
class NormClip:
    """`factor` times the median norm is the bound, above 0."""

    factor: float = 1.0
    needs_every_update = True

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The mean of the shortened updates."""
        ordered = sorted(updates, key=lambda update: update.sha256)
        norms = [norm(update) for update in ordered]
        bound = self.factor * float(np.median(norms))
        scales = [min(1.0, bound / length) if length else 1.0 for length in norms]
        return {
            name: sum(
                (
                    scale / len(ordered) * update.arrays[name].astype(np.float64)
                    for scale, update in zip(scales, ordered, strict=True)
                ),
                start=np.zeros(ordered[0].arrays[name].shape),
            )
            for name in ordered[0].arrays
        }

    def advance(self, past: None, point: Vector, move: Vector) -> tuple[None, Vector]:
        """Moved by the mean."""
        return past, np.asarray(point + move)
