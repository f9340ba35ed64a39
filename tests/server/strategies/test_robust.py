"""Krum, Multi-Krum and norm clipping: against slow oracles, against Flower's, and under attack."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.multikrum import select_multikrum
from hypothesis import given, settings
from hypothesis import strategies as st

from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE, HeadSpecification
from common.heads.universal import initial_head
from common.strategies import FLEET_STRATEGIES, ROBUST_STRATEGIES, STRATEGIES
from common.update import HeadUpdate
from server.aggregation import initial_state, step
from server.norms import norm
from server.strategies import strategy_of
from server.strategies.krum import Krum, nearest, scores
from server.strategies.multikrum import MultiKrum
from server.strategies.normclip import NormClip
from tests.server.fakes import plan, update

SPECIFICATION = HeadSpecification(kind="logistic", dimension=2, features="made-up", classes=2)
NAMES = tuple(SPECIFICATION.shapes(HEAD_STAGE))


def updates_of(rows: np.ndarray, clips: Sequence[int] | None = None) -> list[HeadUpdate]:
    """Rows of twelve numbers as updates."""
    made = []
    for place, row in enumerate(rows):
        arrays, start = {}, 0
        for name, shape in SPECIFICATION.shapes(HEAD_STAGE).items():
            size = math.prod(shape)
            arrays[name] = row[start : start + size].reshape(shape).astype(np.float32)
            start += size
        made.append(
            HeadUpdate(
                specification=SPECIFICATION,
                stage=HEAD_STAGE,
                round=1,
                clips=clips[place] if clips else 1,
                arrays=arrays,
            )
        )
    return made


def rows_of(updates: Sequence[HeadUpdate]) -> list[list[float]]:
    return [[float(v) for name in NAMES for v in u.arrays[name].ravel()] for u in updates]


def flat(move: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([move[name].ravel() for name in NAMES])


def slow_scores(rows: list[list[float]], faulty: int) -> list[float]:
    found = []
    for i, one in enumerate(rows):
        others = [
            math.fsum((a - b) ** 2 for a, b in zip(one, other, strict=True))
            for j, other in enumerate(rows)
            if i != j
        ]
        found.append(math.fsum(sorted(others)[: max(1, len(rows) - faulty - 2)]))
    return found


matrices = st.integers(1, 9).flatmap(
    lambda count: st.lists(
        st.lists(st.floats(-100, 100, width=32), min_size=12, max_size=12),
        min_size=count,
        max_size=count,
    )
)


@settings(max_examples=30)
@given(rows=matrices, share=st.floats(0, 0.49))
def test_scores_are_those_of_the_slow_way(rows: list[list[float]], share: float) -> None:
    updates = updates_of(np.array(rows))
    faulty = int(share * len(rows))
    slow = slow_scores(rows_of(updates), faulty)
    np.testing.assert_allclose(scores(updates, faulty), slow, rtol=1e-9, atol=1e-9)


@settings(max_examples=30)
@given(rows=matrices, share=st.floats(0, 0.49))
def test_krum_is_an_update_of_the_least_score(rows: list[list[float]], share: float) -> None:
    updates = updates_of(np.array(rows))
    slow = slow_scores(rows_of(updates), int(share * len(rows)))
    chosen = flat(Krum(share).combine(updates)).tolist()
    good = [
        row
        for row, score in zip(rows_of(updates), slow, strict=True)
        if score <= min(slow) * (1 + 1e-9) + 1e-9
    ]
    assert chosen in good


@pytest.mark.parametrize(("devices", "share"), [(5, 0.2), (9, 0.3), (12, 0.25), (6, 0.2), (7, 0.4)])
def test_multikrum_is_the_mean_of_the_least_scores(devices: int, share: float) -> None:
    rows = np.random.default_rng(devices).normal(size=(devices, 12)).astype(np.float32)
    faulty = int(share * devices)
    slow = slow_scores(rows.astype(float).tolist(), faulty)
    best = np.argsort(slow)[: max(1, devices - faulty - 2)]
    found = flat(MultiKrum(share).combine(updates_of(rows)))
    np.testing.assert_allclose(found, rows[best].astype(float).mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("devices", [4, 5, 8, 12])
def test_the_chosen_are_those_that_flower_chooses(devices: int) -> None:
    rows = np.random.default_rng(devices).normal(size=(devices, 12)).astype(np.float32)
    updates, faulty = updates_of(rows), int(0.2 * devices)
    for count in (1, 2, devices - faulty - 2):
        contents = [
            RecordDict(
                {
                    "arrays": ArrayRecord({n: Array(u.arrays[n].astype(float)) for n in NAMES}),
                    "metrics": MetricRecord({"place": place}),
                }
            )
            for place, u in enumerate(updates)
        ]
        theirs = select_multikrum(contents, faulty, max(1, count))
        places = {int(content["metrics"]["place"]) for content in theirs}  # type: ignore[index,call-overload]
        ours = nearest(updates, faulty, max(1, count))
        assert {one.sha256 for one in ours} == {updates[place].sha256 for place in places}


@settings(max_examples=30)
@given(rows=matrices, factor=st.floats(0.1, 5))
def test_norm_clipping_is_that_of_the_slow_way(rows: list[list[float]], factor: float) -> None:
    updates = updates_of(np.array(rows))
    plain = rows_of(updates)
    norms = [math.sqrt(math.fsum(v * v for v in row)) for row in plain]
    middle = sorted(norms)
    half = len(norms) // 2
    bound = factor * (middle[half] if len(norms) % 2 else (middle[half - 1] + middle[half]) / 2)
    short = [
        [v * (bound / length if length > bound else 1.0) for v in row]
        for row, length in zip(plain, norms, strict=True)
    ]
    slow = [math.fsum(column) / len(rows) for column in zip(*short, strict=True)]
    found = flat(NormClip(factor).combine(updates))
    np.testing.assert_allclose(found, slow, rtol=1e-9, atol=1e-9)
    assert np.linalg.norm(found) <= bound * (1 + 1e-9) + 1e-12


@settings(max_examples=30)
@given(rows=matrices)
def test_a_norm_is_that_of_the_slow_way(rows: list[list[float]]) -> None:
    for one, row in zip(updates_of(np.array(rows)), rows, strict=True):
        slow = math.sqrt(math.fsum(float(np.float32(v)) ** 2 for v in row))
        assert norm(one) == pytest.approx(slow, rel=1e-12, abs=1e-30)


@settings(max_examples=30)
@given(rows=matrices, data=st.data(), name=st.sampled_from(ROBUST_STRATEGIES))
def test_neither_order_nor_claimed_clips_change_a_bit(
    rows: list[list[float]], data: st.DataObject, name: str
) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    clips = data.draw(st.lists(st.integers(1, 10**7), min_size=len(rows), max_size=len(rows)))
    strategy = strategy_of(plan(strategy=name))
    one = strategy.combine(updates_of(np.array(rows)))
    other = strategy.combine(updates_of(np.array(rows)[order], clips))
    for array in NAMES:
        assert one[array].tobytes() == other[array].tobytes()
        assert one[array].dtype == np.float64


@pytest.mark.parametrize("size", [1.0, 50.0, 1e30])
@pytest.mark.parametrize("devices", [7, 11, 20])
def test_a_minority_moves_none_of_them_far(size: float, devices: int) -> None:
    """Colluding devices that send all the same; honest ones are spread by 0.1 about 1."""
    chooser = np.random.default_rng(devices)
    faulty = int(0.25 * devices)
    rows = 1 + 0.1 * chooser.normal(size=(devices, 12))
    rows[:faulty] = -size
    for strategy in (Krum(0.25), MultiKrum(0.25)):
        assert np.abs(flat(strategy.combine(updates_of(rows))) - 1).max() < 0.5
    clipped = flat(NormClip().combine(updates_of(rows)))
    assert np.abs(clipped).max() < 1.5
    assert clipped.min() > 0  # it still points the honest way
    if size > 10:
        fedavg = flat(strategy_of(plan()).combine(updates_of(rows)))
        assert fedavg.max() < 0


@pytest.mark.parametrize("name", ROBUST_STRATEGIES)
@pytest.mark.parametrize("devices", [1, 2, 3])
def test_few_devices_and_zeros(name: str, devices: int) -> None:
    strategy = strategy_of(plan(strategy=name, trim=0.4))
    zeros = flat(strategy.combine(updates_of(np.zeros((devices, 12)))))
    np.testing.assert_array_equal(zeros, 0.0)
    same = flat(strategy.combine(updates_of(np.full((devices, 12), 2.5))))
    np.testing.assert_allclose(same, 2.5, rtol=1e-12)


def test_krum_by_hand() -> None:
    """0, 1, 1.5 and 9 on a line in four entries: with f = 0, 1 has scores 4 (1 + 0.25)."""
    spec = HeadSpecification(kind="logistic", dimension=1, features="made-up", classes=2)
    given_updates = [
        update({"user.bias": [v, v], "population.bias": [v, v]}, specification=spec)
        for v in (0.0, 1.0, 1.5, 9.0)
    ]
    assert sorted(scores(given_updates, 0)) == [5.0, 10.0, 13.0, 481.0]
    assert Krum(0.0).combine(given_updates)["user.bias"].tolist() == [1.0, 1.0]
    assert MultiKrum(0.0).combine(given_updates)["user.bias"].tolist() == [1.25, 1.25]
    assert NormClip().combine(given_updates)["user.bias"].tolist() == [0.875, 0.875]


@pytest.mark.parametrize("name", ROBUST_STRATEGIES)
def test_they_run_a_federations_rounds(name: str) -> None:
    strategy = strategy_of(plan(strategy=name))
    state = initial_state(initial_head(SPECIFICATION, 1))
    for round, stage in ((0, REFERENCE_STAGE), (1, HEAD_STAGE), (2, HEAD_STAGE)):
        updates = [
            update(value, stage=stage, round=round, specification=SPECIFICATION)
            for value in (1.0, 1.0, 1.0, 1.0, 64.0)
        ]
        state = step(state, updates, stage=stage, strategy=strategy)
    for array in state.head.arrays.values():
        assert np.isfinite(array).all()
        assert array.max() <= 2.0


def test_names_reach_the_strategies() -> None:
    assert strategy_of(plan(strategy="krum", trim=0.3)) == Krum(0.3)
    assert strategy_of(plan(strategy="multikrum", trim=0.3)) == MultiKrum(0.3)
    assert strategy_of(plan(strategy="normclip")) == NormClip()
    assert set(FLEET_STRATEGIES) == {*STRATEGIES, *ROBUST_STRATEGIES}
    assert plan().strategy == "fedavg"
    kinds = {type(strategy_of(plan(strategy=name))).__name__.lower() for name in ROBUST_STRATEGIES}
    assert kinds == set(ROBUST_STRATEGIES)
