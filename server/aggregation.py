"""One round on the server. Pure: `step(state, updates)`; what is done is the strategy's.

`server.strategies` says what each strategy makes of a round. The default is FedAvg (McMahan et
al., AISTATS 2017), accelerated on the server where the plan says so. In round 0 the reference
moves by what the strategy combines; later rounds move both branches, each on its own.

Updates are summed in float64 in the order of their digests, so that neither arrival order nor
node ids change a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import WorkError
from common.heads.specification import BRANCHES, HEAD_STAGE, REFERENCE_STAGE
from common.heads.universal import UniversalHead
from common.update import HeadUpdate
from server.strategies.interface import Moves, Strategy, Vector
from server.strategies.mean import WeightedMean

Collected = Sequence[HeadUpdate] | WeightedMean


@dataclass(frozen=True)
class ServerState:
    """All that a server carries from round to round.

    Attributes:
        head: as it will be sent out.
        round: its round.
        pasts: what the strategy keeps of each branch, None before its first round.
    """

    head: UniversalHead
    round: int
    pasts: Mapping[str, Any]


def initial_state(head: UniversalHead) -> ServerState:
    """Before round 0."""
    return ServerState(head, 0, dict.fromkeys(BRANCHES))


def step(state: ServerState, updates: Collected, *, stage: str, strategy: Strategy) -> ServerState:
    """The state after a round.

    Args:
        state: as it was when the head was sent out.
        updates: at least one, or their mean; of `state`'s round, of `stage` and of the head's
            specification.
        stage: `reference` in round 0, else `head`.
        strategy: the same in every round of a federation.

    Raises:
        WorkError: no update, or one that is not of this round, stage and specification; a mean
            for a strategy that needs every update; the head would not be finite.
    """
    _check(state, updates, stage)
    move = _combined(updates, strategy)
    if stage == REFERENCE_STAGE:
        arrays = {name: _moved(state.head.arrays[name], move[name]) for name in move}
        return _next(state, arrays, state.pasts)
    arrays, pasts = {}, {}
    for branch in BRANCHES:
        names = [f"{branch}.{name}" for name in state.head.specification.branch_shapes()]
        point = _flat(state.head.arrays, names)
        pasts[branch], end = strategy.advance(state.pasts[branch], point, _flat(move, names))
        arrays |= _unflat(end, state.head.arrays, names)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise WorkError(f"round {state.round} would make the head infinite; an update is too large")
    return _next(state, arrays, pasts)


def skip(state: ServerState) -> ServerState:
    """The state after a round in which no reply arrived: the head stays as it is."""
    return replace(state, round=state.round + 1)


def _next(
    state: ServerState, arrays: Mapping[str, npt.NDArray[np.float32]], pasts: Mapping[str, Any]
) -> ServerState:
    head = replace(state.head, arrays={**state.head.arrays, **arrays})
    return ServerState(head, state.round + 1, pasts)


def _combined(updates: Collected, strategy: Strategy) -> Moves:
    if not isinstance(updates, WeightedMean):
        return strategy.combine(updates)
    if strategy.needs_every_update:
        raise WorkError(f"{type(strategy).__name__} needs every update, and got their mean alone")
    return updates.arrays


def _check(state: ServerState, updates: Collected, stage: str) -> None:
    given = [updates] if isinstance(updates, WeightedMean) else updates
    if not given:
        raise WorkError(f"no device sent an update in round {state.round}")
    if stage not in (REFERENCE_STAGE, HEAD_STAGE):
        raise WorkError(f"stage {stage!r} is not one that is averaged")
    for update in given:
        if (
            update.round != state.round
            or update.stage != stage
            or update.specification != state.head.specification
        ):
            raise WorkError(
                f"an update of another round, stage or head came in round {state.round}"
            )


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
