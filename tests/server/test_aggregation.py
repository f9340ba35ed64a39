"""Averaging by hand, acceleration against a linear problem's known solution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WorkError
from common.heads.specification import (
    BRANCHES,
    HEAD_STAGE,
    KINDS,
    REFERENCE_STAGE,
    HeadSpecification,
)
from common.heads.universal import UniversalHead, initial_head
from common.update import HeadUpdate
from server.aggregation import ServerState, initial_state, skip, step
from server.strategies.fedavg import FedAvg
from server.strategies.fedmedian import FedMedian
from server.strategies.mean import WeightedMean, average
from tests.server.fakes import SPECIFICATION, update


def state_at(round: int, head: UniversalHead | None = None) -> ServerState:
    fresh = initial_state(head or initial_head(SPECIFICATION, 1))
    return replace(fresh, round=round)


def test_the_mean_is_weighted_by_clips() -> None:
    """(1 * 3 + 4 * 1) / 4 = 1.75 in every entry."""
    mean = average([update(1.0, clips=3), update(4.0, clips=1)])
    assert set(mean) == set(SPECIFICATION.shapes(HEAD_STAGE))
    for array in mean.values():
        np.testing.assert_array_equal(array, 1.75)


def test_the_mean_of_different_entries() -> None:
    one = update({"user.weight": [1.0, -2.0], "population.bias": [0.5, 0.0]}, clips=1)
    two = update({"user.weight": [4.0, 1.0]}, clips=2)
    mean = average([one, two])
    np.testing.assert_allclose(mean["user.weight"], [[3.0], [0.0]], atol=1e-15)
    np.testing.assert_allclose(mean["population.bias"], [1 / 6, 0.0], atol=1e-15)
    np.testing.assert_array_equal(mean["user.bias"], 0.0)


def test_round_0_moves_the_reference_only() -> None:
    """(1 * 2 + 2 * -4) / 3 = -2 in both of its arrays, 0 in all others."""
    updates = [
        update(2.0, clips=1, stage=REFERENCE_STAGE, round=0),
        update(-4.0, clips=2, stage=REFERENCE_STAGE, round=0),
    ]
    after = step(state_at(0), updates, stage=REFERENCE_STAGE, strategy=FedAvg(10))
    assert after.round == 1
    assert set(after.pasts.values()) == {None}
    for name, array in after.head.arrays.items():
        np.testing.assert_array_equal(array, -2.0 if name.startswith("reference") else 0.0)


def test_a_round_of_plain_averaging_adds_the_mean() -> None:
    head = initial_head(SPECIFICATION, 1)
    arrays = {name: array + np.float32(0.5) for name, array in head.arrays.items()}
    state = state_at(1, UniversalHead(SPECIFICATION, arrays))
    after = step(state, [update(1.0, clips=3), update(4.0)], stage=HEAD_STAGE, strategy=FedAvg(0))
    assert after.round == 2
    for name, array in after.head.arrays.items():
        np.testing.assert_array_equal(array, 0.5 if name.startswith("reference") else 2.25)
        assert array.dtype == np.float32


def test_step_leaves_the_state_before_as_it_was() -> None:
    state = state_at(1)
    before = {name: array.copy() for name, array in state.head.arrays.items()}
    step(state, [update(1.0)], stage=HEAD_STAGE, strategy=FedAvg(3))
    assert state.round == 1
    assert set(state.pasts.values()) == {None}
    for name, array in before.items():
        np.testing.assert_array_equal(state.head.arrays[name], array)


@given(
    values=st.lists(
        st.tuples(st.floats(-1e6, 1e6, width=32), st.integers(1, 1000)), min_size=1, max_size=8
    ),
    data=st.data(),
)
def test_the_order_of_updates_changes_no_bit(
    values: list[tuple[float, int]], data: st.DataObject
) -> None:
    updates = [update(value, clips=clips) for value, clips in values]
    shuffled = data.draw(st.permutations(updates))
    one, other = (
        step(state_at(1), which, stage=HEAD_STAGE, strategy=FedAvg(0)).head
        for which in (updates, shuffled)
    )
    for name, array in one.arrays.items():
        assert array.tobytes() == other.arrays[name].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_memory_0_is_plain_averaging_in_every_round(kind: str) -> None:
    spec = HeadSpecification(kind=kind, dimension=3, features="made-up", key_dimension=2)
    state = state_at(1, initial_head(spec, 1))
    expected = {name: array.astype(np.float64) for name, array in state.head.arrays.items()}
    chooser = np.random.default_rng(0)
    for round in range(1, 5):
        values = chooser.normal(size=2)
        updates = [
            update(float(value), clips=clips, round=round, specification=spec)
            for value, clips in zip(values, (1, 3), strict=True)
        ]
        mean = float(np.float32(values[0])) / 4 + 3 * float(np.float32(values[1])) / 4
        expected |= {name: expected[name] + mean for name in spec.shapes(HEAD_STAGE)}
        state = step(state, updates, stage=HEAD_STAGE, strategy=FedAvg(0))
    for name, array in state.head.arrays.items():
        np.testing.assert_allclose(array, expected[name], atol=1e-5)


def linear(state: ServerState, matrix: np.ndarray, target: np.ndarray) -> dict[str, list[float]]:
    """Moves that lead to `target` as gradient steps on a quadratic would."""
    values: dict[str, list[float]] = {}
    for branch in BRANCHES:
        names = [f"{branch}.weight", f"{branch}.bias"]
        point = np.concatenate([state.head.arrays[name].ravel() for name in names])
        move = matrix @ (target - point)
        values |= {names[0]: move[:2].tolist(), names[1]: move[2:].tolist()}
    return values


def distance_after(rounds: int, memory: int) -> float:
    """How far from the solution a linear problem of dimension 4 per branch ends."""
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    matrix = turn @ np.diag([0.9, 0.5, 0.2, 0.05]) @ turn.T
    target = np.array([1.0, -2.0, 0.5, 3.0])
    state = state_at(1)
    for round in range(1, rounds + 1):
        move = update(linear(state, matrix, target), round=round)
        state = step(state, [move], stage=HEAD_STAGE, strategy=FedAvg(memory))
    ends = [
        np.concatenate([state.head.arrays[f"{b}.weight"].ravel(), state.head.arrays[f"{b}.bias"]])
        for b in BRANCHES
    ]
    return float(max(np.abs(end - target).max() for end in ends))


def test_acceleration_solves_a_linear_problem_in_its_dimension_plus_1_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Anderson acceleration without truncation is GMRES (Walker and Ni 2011, theorem 2.2)."""
    assert distance_after(6, memory=0) > 2.0
    assert distance_after(6, memory=10) < 1e-3  # one round more: the ridge that keeps it stable
    monkeypatch.setattr("server.strategies.fedavg.RIDGE", 1e-13)
    assert distance_after(5, memory=10) < 1e-4


def test_the_longer_the_memory_the_nearer() -> None:
    distances = [distance_after(8, memory) for memory in (0, 1, 3)]
    assert distances == sorted(distances, reverse=True)


def test_memory_bounds_the_history() -> None:
    state = state_at(1)
    for round in range(1, 9):
        state = step(
            state, [update(1.0 / round, round=round)], stage=HEAD_STAGE, strategy=FedAvg(3)
        )
    assert {len(history.points) for history in state.pasts.values()} == {4}


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_acceleration_of_moves_that_do_not_change(value: float) -> None:
    """Nothing can be extrapolated from equal moves; the head must stay finite and move on."""
    state = state_at(1)
    for round in range(1, 6):
        state = step(state, [update(value, round=round)], stage=HEAD_STAGE, strategy=FedAvg(4))
    for name, array in state.head.arrays.items():
        if not name.startswith("reference"):
            np.testing.assert_allclose(array, 5 * value, atol=1e-5)


def test_no_update_is_an_error() -> None:
    with pytest.raises(WorkError, match="no device sent an update in round 1"):
        step(state_at(1), [], stage=HEAD_STAGE, strategy=FedAvg(0))


@pytest.mark.parametrize(
    "wrong",
    [
        update(1.0, round=2),
        update(1.0, stage=REFERENCE_STAGE),
        update(1.0, specification=replace(SPECIFICATION, features="others")),
        update(1.0, specification=replace(SPECIFICATION, dimension=2)),
    ],
)
def test_an_update_of_another_round_stage_or_head_is_an_error(wrong: object) -> None:
    with pytest.raises(WorkError, match="another round, stage or head"):
        step(state_at(1), [update(1.0), wrong], stage=HEAD_STAGE, strategy=FedAvg())  # type: ignore[list-item]


def test_an_unknown_stage_is_an_error() -> None:
    with pytest.raises(WorkError, match="'evaluate'"):
        step(state_at(1), [update(1.0)], stage="evaluate", strategy=FedAvg(0))


def mean_of(updates: list[HeadUpdate]) -> WeightedMean:
    """What an engine that averages by itself hands over."""
    first = updates[0]
    clips = sum(each.clips for each in updates)
    return WeightedMean(
        first.specification, first.stage, first.round, len(updates), clips, average(updates)
    )


@pytest.mark.parametrize(("stage", "round"), [(REFERENCE_STAGE, 0), (HEAD_STAGE, 1)])
def test_a_mean_counts_as_its_updates(stage: str, round: int) -> None:
    updates = [update(v, clips=c, stage=stage, round=round) for v, c in ((1.0, 3), (-2.5, 4))]
    one, other = (
        step(state_at(round), given, stage=stage, strategy=FedAvg(2))
        for given in (updates, mean_of(updates))
    )
    for name, array in one.head.arrays.items():
        assert array.tobytes() == other.head.arrays[name].tobytes()


def test_a_mean_is_not_enough_for_a_median() -> None:
    with pytest.raises(WorkError, match="FedMedian needs every update"):
        step(state_at(1), mean_of([update(1.0)]), stage=HEAD_STAGE, strategy=FedMedian())


def test_a_mean_of_another_round_is_an_error() -> None:
    with pytest.raises(WorkError, match="another round, stage or head"):
        step(state_at(2), mean_of([update(1.0)]), stage=HEAD_STAGE, strategy=FedAvg())


def test_a_skipped_round_leaves_the_head() -> None:
    state = state_at(3)
    after = skip(state)
    assert (after.round, after.head, after.pasts) == (4, state.head, state.pasts)
