"""Federated averaging, optionally accelerated on the server. Pure: `step(state, updates)`.

One round moves the head by the average of the devices' updates, weighted by clips (McMahan et
al., AISTATS 2017): `g(x) = sum_k n_k u_k / sum_k n_k`. With `memory` m > 0 the server treats
x -> x + g(x) as a fixed-point iteration and extrapolates from the last m + 1 rounds (Anderson
acceleration; Anderson, J. ACM 12(4), 1965; Walker and Ni, SIAM J. Numer. Anal. 49(4), 2011, type
II): devices send nothing more for it, and a convex head needs several times fewer rounds. Each
branch is accelerated on its own. `memory` 0 is plain FedAvg.

Updates are summed in float64 in the order of their digests, so that neither arrival order nor
node ids change a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from common.errors import WorkError
from common.heads.specification import BRANCHES, HEAD_STAGE, REFERENCE_STAGE
from common.heads.universal import UniversalHead
from common.update import HeadUpdate

Vector = npt.NDArray[np.float64]
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
class ServerState:
    """All that a server carries from round to round: the head, the round, the branches' pasts."""

    head: UniversalHead
    round: int
    histories: Mapping[str, History]


def initial_state(head: UniversalHead) -> ServerState:
    """Before round 0."""
    return ServerState(head, 0, {branch: History() for branch in BRANCHES})


def step(
    state: ServerState, updates: Sequence[HeadUpdate], *, stage: str, memory: int
) -> ServerState:
    """The state after a round.

    Args:
        state: as it was when the head was sent out.
        updates: at least one, all of `state`'s round, of `stage` and of the head's specification.
        stage: `reference` in round 0, else `head`.
        memory: rounds that acceleration looks back, 0 for none.

    Raises:
        WorkError: no update, or one that is not of this round, stage and specification.
    """
    _check(state, updates, stage)
    move = average(updates)
    if stage == REFERENCE_STAGE:
        arrays = {name: _moved(state.head.arrays[name], move[name]) for name in move}
        head = replace(state.head, arrays={**state.head.arrays, **arrays})
        return ServerState(head, state.round + 1, state.histories)
    arrays, histories = {}, {}
    for branch in BRANCHES:
        names = [f"{branch}.{name}" for name in state.head.specification.branch_shapes()]
        point = _flat(state.head.arrays, names)
        past = state.histories[branch].remember(point, _flat(move, names), memory)
        arrays |= _unflat(_extrapolate(past), state.head.arrays, names)
        histories[branch] = past
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise WorkError(f"round {state.round} would make the head infinite; an update is too large")
    head = replace(state.head, arrays={**state.head.arrays, **arrays})
    return ServerState(head, state.round + 1, histories)


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


def _check(state: ServerState, updates: Sequence[HeadUpdate], stage: str) -> None:
    if not updates:
        raise WorkError(f"no device sent an update in round {state.round}")
    if stage not in (REFERENCE_STAGE, HEAD_STAGE):
        raise WorkError(f"stage {stage!r} is not one that is averaged")
    for update in updates:
        if (
            update.round != state.round
            or update.stage != stage
            or update.specification != state.head.specification
        ):
            raise WorkError(
                f"an update of another round, stage or head came in round {state.round}"
            )


def _extrapolate(past: History) -> Vector:
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


def _flat(arrays: Mapping[str, npt.NDArray[np.floating]], names: Sequence[str]) -> Vector:
    return np.concatenate([arrays[name].astype(np.float64).ravel() for name in names])


def _unflat(
    flat: Vector, like: Mapping[str, npt.NDArray[np.float32]], names: Sequence[str]
) -> dict[str, npt.NDArray[np.float32]]:
    parts = np.split(flat, np.cumsum([like[name].size for name in names])[:-1])
    return {
        name: part.reshape(like[name].shape).astype(np.float32)
        for name, part in zip(names, parts, strict=True)
    }


def _moved(value: npt.NDArray[np.float32], move: Vector) -> npt.NDArray[np.float32]:
    return (value.astype(np.float64) + move).astype(np.float32)
