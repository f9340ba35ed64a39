"""What a group of clients would have sent in a round, summed as the server would have summed it.

Each client's update is rounded to the wire's float32 before it counts, as if it had travelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.heads.specification import BRANCHES, REFERENCE_STAGE
from common.messages import Request
from common.update import HeadUpdate, NotAnUpdate
from simulations.engines.cohort import attention, logistic
from simulations.engines.cohort.clients import Block, Cutter, Integers
from simulations.engines.cohort.inputs import (
    block_rows,
    branch_inputs,
    told_references,
    told_scatters,
)

Vector = npt.NDArray[np.float64]

BLOCK_ENTRIES = 1 << 19
"""Entries of a block's inputs, 4 MiB: enough for one step of all to be worth its while."""


@dataclass(frozen=True)
class Share:
    """What some clients bring to a round's average.

    Attributes:
        sums: per array, the sum of clips times update, float64.
        clips: of all of them.
        devices: how many they are.
        failures: one reason per client whose update was none.
        updates: theirs one by one, where they were asked for.
    """

    sums: dict[str, Vector]
    clips: int
    devices: int
    failures: tuple[str, ...] = ()
    updates: tuple[HeadUpdate, ...] = ()


def added(shares: Iterable[Share]) -> Share:
    """At least one share as one, added in the order given; one at a time is kept."""
    rest = iter(shares)
    first = next(rest)
    sums = {name: value.copy() for name, value in first.sums.items()}
    clips, devices = first.clips, first.devices
    failures, updates = [*first.failures], [*first.updates]
    for share in rest:
        for name, value in share.sums.items():
            sums[name] += value
        clips, devices = clips + share.clips, devices + share.devices
        failures += share.failures
        updates += share.updates
    return Share(sums, clips, devices, tuple(failures), tuple(updates))


def answer_together(cutter: Cutter, clients: Integers, request: Request, *, every: bool) -> Share:
    """The share of clients (at least one, alike in size) in a request of either stage.

    `every` asks for the updates one by one, too.
    """
    frames, block = cutter.cohort.frames, cutter.block(clients)
    if request.stage == REFERENCE_STAGE:
        return _share(request, block, _reference_moves(request, frames, block), every)
    return _share(request, block, head_moves(frames, block, request), every)


def head_moves(
    frames: npt.NDArray[np.floating], block: Block, request: Request
) -> dict[str, Vector]:
    """What each client's arrays move by, (clients, *shape) float64: its update before rounding.

    Args:
        frames: the cohort's, pooled if the head pools first.
        block: of clients.
        request: of the head stage.
    """
    inputs = branch_inputs(block_rows(frames, block), request.head.reference, block)
    if request.head.specification.kind == "logistic":
        problem = _logistic_problem(request, inputs, block)
        moves = logistic.moves_of(problem, logistic.solve(problem))
    else:
        moves = _attention_moves(request, inputs, block)
    return {
        f"{b}.{n}": move[i].numpy() for n, move in moves.items() for i, b in enumerate(BRANCHES)
    }


def _reference_moves(
    request: Request, frames: npt.NDArray[np.floating], block: Block
) -> dict[str, Vector]:
    rows = block_rows(frames, block)
    told = told_references(rows)
    ends = {"reference.centre": told.centre, "reference.spread": told.spread}
    if request.head.specification.scatter:
        ends["reference.scatter"] = told_scatters(rows, block)
    return {name: end - request.head.arrays[name] for name, end in ends.items()}


def _logistic_problem(request: Request, inputs: Tensor, block: Block) -> logistic.Problem:
    starts = [request.head.branch(branch) for branch in BRANCHES]
    labels, weights = _labels_and_weights(block)
    return logistic.Problem(
        inputs=inputs[:, :, :, 0],
        labels=labels,
        weights=weights,
        weight=torch.stack([start["weight"] for start in starts]),
        bias=torch.stack([start["bias"] for start in starts]),
        settings=request.plan.training,
    )


def _attention_moves(request: Request, inputs: Tensor, block: Block) -> dict[str, Tensor]:
    labels, weights = _labels_and_weights(block)
    mask = torch.from_numpy(block.mask.copy())
    mask[:, :, 0] = True  # a clip that is padding is one frame of zeros, and weighs nothing
    found = [
        attention.trained_moves(
            attention.Problem(
                kind=request.head.specification.kind,
                inputs=inputs[number],
                mask=mask,
                labels=labels,
                weights=weights,
                start=request.head.branch(branch),
                settings=request.plan.training,
            )
        )
        for number, branch in enumerate(BRANCHES)
    ]
    return {name: torch.stack([moves[name] for moves in found]) for name in found[0]}


def _labels_and_weights(block: Block) -> tuple[Tensor, Tensor]:
    weights = torch.from_numpy(block.clips / block.counts[:, None])
    return torch.from_numpy(block.labels), weights


def _share(request: Request, block: Block, moves: Mapping[str, Vector], every: bool) -> Share:
    rounded = {
        n: torch.from_numpy(m.reshape(len(m), -1)).float().double() for n, m in moves.items()
    }
    finite = np.asarray(torch.stack([torch.isfinite(r.sum(1)) for r in rounded.values()]).all(0))
    failures = [_refusal(request, block, moves, row) for row in np.flatnonzero(~finite).tolist()]
    weights = np.where(finite, block.counts, 0)
    sums = {n: _weighted_sum(weights, r).reshape(moves[n].shape[1:]) for n, r in rounded.items()}
    kept = np.flatnonzero(finite).tolist() if every else []
    updates = tuple(_update(request, block, moves, row) for row in kept)
    return Share(sums, int(weights.sum()), int(finite.sum()), tuple(failures), updates)


def _weighted_sum(weights: Integers, values: Tensor) -> Vector:
    counted = torch.from_numpy(weights)
    if not bool(counted.all()):  # 0 times what is not finite would not be 0
        values = values.nan_to_num(0.0, 0.0, 0.0)
    return np.asarray((counted.double() @ values).numpy())


def _update(request: Request, block: Block, moves: Mapping[str, Vector], row: int) -> HeadUpdate:
    return HeadUpdate(
        specification=request.head.specification,
        stage=request.stage,
        round=request.round,
        clips=int(block.counts[row]),
        arrays={name: move[row].astype(np.float32) for name, move in moves.items()},
    )


def _refusal(request: Request, block: Block, moves: Mapping[str, Vector], row: int) -> str:
    try:
        _update(request, block, moves, row)
    except NotAnUpdate as error:
        return f"client {block.numbers[row]}: {error}"
    return f"client {block.numbers[row]}: not finite"
