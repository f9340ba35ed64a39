"""`fedyogi`: Yogi on the server (Reddi et al., ICLR 2021).

`v_t = v_(t-1) - (1 - beta2) d_t^2 sign(v_(t-1) - d_t^2)`; see `moments` for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.update import HeadUpdate
from server.strategies.interface import Vector
from server.strategies.mean import average
from server.strategies.moments import Moments, moved, no_moments


@dataclass(frozen=True)
class FedYogi:
    """`learning_rate` and `tau` above 0; `beta1`, `beta2` 0 to below 1."""

    learning_rate: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3
    needs_every_update = False

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The mean weighted by clips."""
        return average(updates)

    def advance(self, past: Moments | None, point: Vector, move: Vector) -> tuple[Moments, Vector]:
        """Moved by the moments, which are kept."""
        before, square = past or no_moments(move), move**2
        moments = Moments(
            self.beta1 * before.first + (1 - self.beta1) * move,
            before.second - (1 - self.beta2) * square * np.sign(before.second - square),
            before.rounds + 1,
        )
        return moments, moved(point, moments, self.learning_rate, self.tau)
