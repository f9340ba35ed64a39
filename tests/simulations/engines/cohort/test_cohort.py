"""The cohort engine against the plain functions of a device: same federation, same head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.clips import ClipSet
from common.errors import WorkError
from common.heads.specification import BRANCHES, HEAD_STAGE, KINDS
from common.heads.universal import UniversalHead, initial_head
from common.messages import EVALUATE, Request
from common.settings import FederationPlan
from server.federation import Fleet, Replies, RoundRecord, run_federation
from server.strategies import strategy_of
from server.strategies.fedavg import FedAvg
from simulations.engines.cohort import fleet as fleet_module
from simulations.engines.cohort.clients import Cohort, Cutter, cohort_of, pooled
from simulations.engines.cohort.fleet import CohortFleet
from simulations.engines.cohort.rounds import head_moves
from tests.simulations.engines.cohort.devices import (
    PlainFleet,
    plain_moves,
    plan,
    ragged_devices,
    specification,
)

DEVICES = ragged_devices()
Arrays = Mapping[str, np.ndarray[Any, Any]]


def federate(fleet: Fleet, kind: str, **changes: Any) -> tuple[UniversalHead, list[RoundRecord]]:
    records: list[RoundRecord] = []
    pooling = changes.pop("pooling", "max")
    spec = specification(kind, pooling)
    return run_federation(fleet, spec, plan(kind, **changes), records.append), records


def cohort_fleet(kind: str, pooling: str = "max", **options: Any) -> CohortFleet:
    return CohortFleet(specification(kind, pooling), cohort_of(DEVICES), **options)


def assert_same(one: UniversalHead, other: UniversalHead) -> None:
    """Equal but for roundings to the wire's float32, and what they grew to.

    Without the wire all is equal to 1e-8: the test in float64 below.
    """
    for name, array in one.arrays.items():
        np.testing.assert_allclose(array, other.arrays[name], rtol=2.4e-7, atol=1e-6)


def flat(arrays: Arrays, branch: str) -> np.ndarray[Any, Any]:
    return np.concatenate([a.ravel() for name, a in arrays.items() if name.startswith(branch)])


def five_rounds(
    kind: str, moves_of: Callable[[UniversalHead, FederationPlan], Arrays]
) -> UniversalHead:
    """Accelerated averaging whose head stays in float64: no wire, no rounding."""
    reference, _ = federate(PlainFleet(DEVICES), kind, rounds=1)
    fresh = initial_head(specification(kind), 1).arrays
    known = {n: a for n, a in reference.arrays.items() if n.startswith("reference")}
    head = UniversalHead(specification(kind), {**fresh, **known})
    strategy, pasts = FedAvg(plan(kind).memory), dict.fromkeys(BRANCHES)
    for _ in range(5):
        mean, arrays = moves_of(head, plan(kind)), dict(head.arrays)
        for branch in BRANCHES:
            point = flat(arrays, branch).astype(np.float64)
            pasts[branch], end = strategy.advance(pasts[branch], point, flat(mean, branch))
            for name in [name for name in arrays if name.startswith(branch)]:
                arrays[name] = end[: arrays[name].size].reshape(arrays[name].shape)
                end = end[arrays[name].size :]
        head = UniversalHead(head.specification, arrays)
    return head


def mean_one_by_one(head: UniversalHead, settings: FederationPlan) -> Arrays:
    ready = [clips for clips in DEVICES if len(clips) >= 4]
    total = sum(map(len, ready))
    each = [(len(clips) / total, plain_moves(head, clips, settings)) for clips in ready]
    return {name: sum(share * moves[name] for share, moves in each) for name in each[0][1]}


def mean_together(head: UniversalHead, settings: FederationPlan) -> Arrays:
    cohort = pooled(head.specification, cohort_of(DEVICES))
    ready = np.flatnonzero(cohort.counts >= 4)
    block = Cutter.of(cohort).block(ready)
    moves = head_moves(cohort.frames, block, Request(settings, HEAD_STAGE, 1, head))
    shares = cohort.counts[ready] / cohort.counts[ready].sum()
    return {name: np.tensordot(shares, move, axes=1) for name, move in moves.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_five_rounds_in_float64_are_those_of_devices_alone(kind: str) -> None:
    one, other = five_rounds(kind, mean_one_by_one), five_rounds(kind, mean_together)
    moved = 0.0
    for name, array in one.arrays.items():
        np.testing.assert_allclose(other.arrays[name], array, rtol=0, atol=1e-8)
        moved = max(moved, float(np.abs(array).max()))
    assert moved > 0.05


@pytest.mark.parametrize(
    ("kind", "pooling"), [*((kind, "max") for kind in KINDS), ("logistic", "mean")]
)
def test_a_federation_is_that_of_devices_one_by_one(kind: str, pooling: str) -> None:
    one, told = federate(PlainFleet(DEVICES), kind, pooling=pooling)
    other, counted = federate(cohort_fleet(kind, pooling), kind, pooling=pooling)
    assert_same(one, other)
    for name in ("reference.centre", "reference.spread"):
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name])
    assert [record.clients for record in counted] == [record.clients for record in told]
    assert {record.bytes for record in counted} == {0}


@pytest.mark.parametrize("kind", ["logistic", "single-attention"])
def test_a_reference_with_scatter_is_that_of_devices_one_by_one(kind: str) -> None:
    spec = specification(kind, scatter=True)
    fleets = PlainFleet(DEVICES), CohortFleet(spec, cohort_of(DEVICES))
    one, other = (
        run_federation(fleet, spec, plan(kind, rounds=1), lambda record: None) for fleet in fleets
    )
    np.testing.assert_array_equal(
        one.arrays["reference.scatter"], other.arrays["reference.scatter"]
    )
    assert np.abs(one.arrays["reference.scatter"]).max() > 0.1
    assert_same(one, other)


@pytest.mark.parametrize("kind", ["logistic", "single-attention"])
@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "fedprox", "proximal_mu": 2.0},
        {"strategy": "fedadam"},
        {"strategy": "fedmedian"},
        {"strategy": "fedtrimmedavg"},
        {"clients_per_round": 4.0, "dropout": 0.3},
        {"epochs": 1, "learning_rate": 0.5},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_strategies_and_losses_are_those_of_devices_one_by_one(
    kind: str, changes: dict[str, Any]
) -> None:
    one, told = federate(PlainFleet(DEVICES), kind, **changes)
    other, counted = federate(cohort_fleet(kind), kind, **changes)
    assert_same(one, other)
    for mine, theirs in zip(counted, told, strict=True):
        assert (mine.clients, mine.lost, mine.stage) == (theirs.clients, theirs.lost, theirs.stage)


@pytest.mark.parametrize("kind", ["logistic", "self-attention"])
def test_threads_change_no_bit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "BLOCK_ENTRIES", 200)
    one, other = (federate(cohort_fleet(kind, workers=w), kind, rounds=2)[0] for w in (1, 3))
    for name, array in one.arrays.items():
        assert array.tobytes() == other.arrays[name].tobytes()


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 99),
    count=st.integers(1, 6),
    entries=st.sampled_from([1, 150, 1 << 19]),
    kind=st.sampled_from(KINDS),
)
def test_any_devices_in_any_blocks_train_as_alone(
    seed: int, count: int, entries: int, kind: str
) -> None:
    devices = [*ragged_devices(count, seed=seed), *ragged_devices(1, seed=5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet_module, "BLOCK_ENTRIES", entries)
        fleet = CohortFleet(specification(kind), cohort_of(devices))
        together = federate(fleet, kind, rounds=2)[0]
    assert_same(together, federate(PlainFleet(devices), kind, rounds=2)[0])


def test_clients_that_are_held_out_or_have_few_clips_take_no_part() -> None:
    held_out = np.zeros(len(DEVICES), dtype=bool)
    held_out[[0, 3]] = True
    mine = federate(cohort_fleet("logistic", held_out={"fold-1": held_out}), "logistic")[0]
    others = [clips for clips, out in zip(DEVICES, held_out, strict=True) if not out]
    assert_same(mine, federate(PlainFleet(others), "logistic")[0])
    elsewhere = federate(cohort_fleet("logistic", held_out={"fold-2": held_out}), "logistic")[0]
    assert_same(elsewhere, federate(PlainFleet(DEVICES), "logistic")[0])


def test_the_final_head_is_tested_by_whoever_can() -> None:
    seen: list[Request] = []
    told: list[int] = []
    fleet = cohort_fleet("logistic", test=seen.append, progress=told.append)
    head, _ = federate(fleet, "logistic", evaluate=True)
    assert [request.stage for request in seen] == [EVALUATE]
    assert seen[0].head is head
    assert sum(told) == len(DEVICES) * (1 + 5 + 1)


def ask(fleet: CohortFleet, kind: str = "logistic", **changes: Any) -> Replies:
    head = initial_head(specification(kind), 1)
    return fleet.ask(Request(plan(kind, **changes), HEAD_STAGE, 1, head))


def test_an_update_that_is_not_finite_is_refused_by_name_and_the_rest_counts() -> None:
    cohort, kind = cohort_of(DEVICES), "single-attention"
    frames = cohort.frames.copy()
    frames[0] = np.nan
    replies = ask(CohortFleet(specification(kind), replace(cohort, frames=frames)), kind)
    (reason,) = replies.failures
    assert reason.startswith("client 0: not an update of the universal head: not finite")
    assert replies.mean is not None
    assert replies.devices == ask(cohort_fleet(kind), kind).devices - 1
    assert all(np.isfinite(array).all() for array in replies.mean.arrays.values())


@pytest.mark.parametrize("strategy", ["fedavg", "fedmedian"])
def test_a_logistic_head_takes_no_step_on_what_is_not_finite(strategy: str) -> None:
    """As on a device alone, whose objective is no number: the update is 0, and counts."""
    devices = [*DEVICES]
    broken = devices[0].frames.copy()
    broken[0] = np.nan
    devices[0] = replace(devices[0], frames=broken)
    spec = specification("logistic")
    fleets = PlainFleet(devices), CohortFleet(spec, cohort_of(devices))
    asked = Request(plan("logistic", strategy=strategy), HEAD_STAGE, 1, initial_head(spec, 1))
    one, other = (fleet.ask(asked) for fleet in fleets)
    assert one.devices == other.devices
    means = [strategy_of(asked.plan).combine(one.updates)]
    means.append(
        dict(other.mean.arrays) if other.mean else strategy_of(asked.plan).combine(other.updates)
    )
    for name in means[0]:
        np.testing.assert_allclose(means[0][name], means[1][name], rtol=1e-6, atol=1e-8)


def test_another_head_is_refused() -> None:
    with pytest.raises(WorkError, match="another head"):
        ask(cohort_fleet("single-attention"), "logistic")


def test_more_updates_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "MOST_UPDATE_BYTES", 100)
    with pytest.raises(WorkError, match="fedmedian needs all updates of a round at once"):
        ask(cohort_fleet("logistic"), strategy="fedmedian")
    assert ask(cohort_fleet("logistic")).devices > 0


def test_blocks_are_bounded_and_hold_every_client_once() -> None:
    cohort = cohort_of(DEVICES)
    cutter = Cutter.of(cohort)
    clients = np.arange(len(cohort))
    groups = list(cutter.groups(clients, 300))
    assert sorted(np.concatenate(groups).tolist()) == clients.tolist()
    for group in groups:
        block = cutter.block(group)
        assert len(group) == 1 or block.mask.size * cohort.frames.shape[1] <= 300
        assert block.counts.tolist() == cohort.counts[group].tolist()
    assert len(groups) > 1


def test_a_block_holds_its_clients_own_frames() -> None:
    cohort = cohort_of(DEVICES)
    block = Cutter.of(cohort).block(np.array([4, 0, 8]))
    for row, client in enumerate((4, 0, 8)):
        clips: ClipSet = DEVICES[client]
        frames = cohort.frames[block.frames[row][block.mask[row]]]
        np.testing.assert_array_equal(frames, clips.frames)
        assert block.labels[row][block.clips[row]].tolist() == clips.labels.tolist()
        assert len(set(block.owners[row][block.clips[row]])) == len(set(clips.users))


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_frames_are_pooled_in_pieces_as_at_once(
    pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, cohort = specification("logistic", pooling), cohort_of(DEVICES)
    whole = pooled(spec, cohort)
    monkeypatch.setattr("simulations.engines.cohort.clients.POOLED_AT_ONCE", 1)
    pieces: Cohort = pooled(spec, cohort)
    np.testing.assert_array_equal(pieces.frames, whole.frames)
    assert (pieces.lengths == 1).all()
    assert pooled(specification("single-attention"), cohort) is cohort
