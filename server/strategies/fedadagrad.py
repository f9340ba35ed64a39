"""`fedadagrad`: Adagrad on the server (Reddi et al., ICLR 2021).

`v_t = v_(t-1) + d_t^2` and no momentum (beta1 = 0); see `moments` for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.update import HeadUpdate
from server.strategies.interface import Vector
from server.strategies.mean import average
from server.strategies.moments import Moments, moved, no_moments


@dataclass(frozen=True)
class FedAdagrad:
    """`learning_rate` and `tau` above 0."""

    learning_rate: float = 0.1
    tau: float = 1e-3
    needs_every_update = False

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The mean weighted by clips."""
        return average(updates)

    def advance(self, past: Moments | None, point: Vector, move: Vector) -> tuple[Moments, Vector]:
        """Moved by the mean over the root of all squares so far, which are kept."""
        before = past or no_moments(move)
        moments = Moments(move, before.second + move**2, before.rounds + 1)
        return moments, moved(point, moments, self.learning_rate, self.tau)
