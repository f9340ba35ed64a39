"""`fedadam`: Adam on the server (Reddi et al., ICLR 2021).

`v_t = beta2 v_(t-1) + (1 - beta2) d_t^2`; see `moments` for the rest. The rate is corrected for
the moments' start at 0, `rate sqrt(1 - beta2^(t+1)) / (1 - beta1^(t+1))` in head round t (from
1), which is Kingma and Ba's factor one round ahead: so that a run equals Flower's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.update import HeadUpdate
from server.strategies.interface import Vector
from server.strategies.mean import average
from server.strategies.moments import Moments, moved, no_moments


@dataclass(frozen=True)
class FedAdam:
    """`learning_rate` and `tau` above 0; `beta1`, `beta2` 0 to below 1."""

    learning_rate: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3
    needs_every_update = False

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The mean weighted by clips."""
        return average(updates)

    def advance(self, past: Moments | None, point: Vector, move: Vector) -> tuple[Moments, Vector]:
        """Moved by the moments, which are kept."""
        before = past or no_moments(move)
        moments = Moments(
            self.beta1 * before.first + (1 - self.beta1) * move,
            self.beta2 * before.second + (1 - self.beta2) * move**2,
            before.rounds + 1,
        )
        power = moments.rounds + 1
        corrected = math.sqrt(1 - self.beta2**power) / (1 - self.beta1**power)
        return moments, moved(point, moments, self.learning_rate * corrected, self.tau)
