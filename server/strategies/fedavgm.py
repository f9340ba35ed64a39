"""`fedavgm`: FedAvg with momentum on the server (Hsu, Qi and Brown, arXiv:1909.06335, 2019).

With the mean update d_t: `m_t = momentum m_(t-1) + d_t`, `w_(t+1) = w_t + rate m_t`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.update import HeadUpdate
from server.strategies.interface import Vector
from server.strategies.mean import average


@dataclass(frozen=True)
class FedAvgM:
    """`learning_rate` above 0; `momentum` 0 to below 1."""

    learning_rate: float = 1.0
    momentum: float = 0.9
    needs_every_update = False

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The mean weighted by clips."""
        return average(updates)

    def advance(self, past: Vector | None, point: Vector, move: Vector) -> tuple[Vector, Vector]:
        """Moved by the momentum, which is kept."""
        momentum = move if past is None else self.momentum * past + move
        return momentum, np.asarray(point + self.learning_rate * momentum)
