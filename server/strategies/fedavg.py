"""`fedavg`: federated averaging, optionally accelerated on the server.

One round moves the head by the average of the devices' updates, weighted by clips (McMahan et
al., AISTATS 2017): `g(x) = sum_k n_k u_k / sum_k n_k`. With `memory` m > 0 the server treats
x -> x + g(x) as a fixed-point iteration and extrapolates from the last m + 1 rounds (Anderson
acceleration; Anderson, J. ACM 12(4), 1965; Walker and Ni, SIAM J. Numer. Anal. 49(4), 2011, type
II): devices send nothing more for it, and a convex head needs several times fewer rounds. Each
branch is accelerated on its own. `memory` 0 is plain FedAvg.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from common.update import HeadUpdate
from server.strategies.interface import Vector
from server.strategies.mean import average

RIDGE = 1e-6


@dataclass(frozen=True)
class History:
    """One branch's last points and their moves, oldest first."""

    points: tuple[Vector, ...] = ()
    moves: tuple[Vector, ...] = ()

    def remember(self, point: Vector, move: Vector, memory: int) -> History:
        """With one more round, and at most `memory` + 1 rounds."""
        keep = memory + 1
        return History((*self.points, point)[-keep:], (*self.moves, move)[-keep:])


@dataclass(frozen=True)
class FedAvg:
    """`memory`: rounds that acceleration looks back, 0 for none."""

    memory: int = 0
    needs_every_update = False

    def combine(self, updates: Sequence[HeadUpdate]) -> dict[str, Vector]:
        """The mean weighted by clips."""
        return average(updates)

    def advance(self, past: History | None, point: Vector, move: Vector) -> tuple[History, Vector]:
        """Moved by the mean, and extrapolated as far as there is a memory."""
        history = (past or History()).remember(point, move, self.memory)
        return history, extrapolate(history)


def extrapolate(past: History) -> Vector:
    """Anderson's next point: the mix of past points whose mixed move is least, moved by it."""
    point, move = past.points[-1], past.moves[-1]
    if len(past.points) < 2:
        return np.asarray(point + move)
    moves = np.stack([after - before for before, after in pairwise(past.moves)], axis=1)
    points = np.stack([after - before for before, after in pairwise(past.points)], axis=1)
    gram = moves.T @ moves
    gram += RIDGE * np.trace(gram) * np.eye(len(gram)) + np.finfo(np.float64).tiny * np.eye(
        len(gram)
    )
    mix = np.linalg.lstsq(gram, moves.T @ move, rcond=None)[0]
    return np.asarray(point + move - (points + moves) @ mix)
