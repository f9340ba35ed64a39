"""Every strategy against Flower's own of that name, on the same arrays; and by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given
from hypothesis import strategies as st

from common.heads.specification import HeadSpecification
from common.strategies import STRATEGIES
from common.update import HeadUpdate
from server.strategies import strategy_of
from server.strategies.fedavg import FedAvg
from server.strategies.fedprox import FedProx
from server.strategies.fedtrimmedavg import FedTrimmedAvg
from server.strategies.interface import Strategy, Vector
from server.strategies.mean import average
from tests.server.fakes import plan, update

SPECIFICATION = HeadSpecification(kind="logistic", dimension=3, features="made-up", classes=2)
NAMES = tuple(SPECIFICATION.shapes("head"))
THEIRS = {
    "fedavg": flower.FedAvg,
    "fedprox": lambda: flower.FedProx(proximal_mu=0.1),
    "fedavgm": lambda: flower.FedAvgM(server_momentum=0.9),
    "fedadam": flower.FedAdam,
    "fedyogi": flower.FedYogi,
    "fedadagrad": flower.FedAdagrad,
    "fedmedian": flower.FedMedian,
    "fedtrimmedavg": flower.FedTrimmedAvg,
}
Heads = Mapping[str, npt.NDArray[np.float64]]


@pytest.fixture(autouse=True)
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's messages ask the process which task of which run it is."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def ours(name: str, **changes: object) -> Strategy:
    mu = 0.1 if name == "fedprox" else 0.0
    return strategy_of(plan(strategy=name, proximal_mu=mu, **changes))


def random_updates(chooser: np.random.Generator, devices: int) -> list[HeadUpdate]:
    return [
        HeadUpdate(
            specification=SPECIFICATION,
            stage="head",
            round=1,
            clips=int(chooser.integers(1, 30)),
            arrays={
                name: chooser.normal(size=shape).astype(np.float32)
                for name, shape in SPECIFICATION.shapes("head").items()
            },
        )
        for _ in range(devices)
    ]


def reply(head: Heads, sent: HeadUpdate) -> Message:
    """What Flower's strategies read: a whole head, not what it moved by."""
    arrays = {name: Array(head[name] + sent.arrays[name].astype(float)) for name in NAMES}
    metrics = MetricRecord({"num-examples": sent.clips})
    message = Message(RecordDict(), 1, "train")
    message.metadata.__dict__["_message_id"] = "asked"
    return Message(
        RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}), reply_to=message
    )


def flowers_round(
    strategy: flower.FedAvg, head: Heads, updates: Sequence[HeadUpdate], round: int
) -> dict[str, Vector]:
    if hasattr(strategy, "current_arrays"):  # as `configure_train` would set it
        flat = isinstance(strategy, flower.FedAvgM)
        record = ArrayRecord({name: Array(head[name]) for name in NAMES})
        strategy.current_arrays = record if flat else dict(head)
    arrays, _ = strategy.aggregate_train(round, [reply(head, sent) for sent in updates])
    assert arrays is not None
    return {name: array.numpy() for name, array in arrays.items()}


def our_round(
    strategy: Strategy, pasts: dict[str, object], head: Heads, updates: Sequence[HeadUpdate]
) -> dict[str, Vector]:
    """Array by array in place of branch by branch: strategies are elementwise but for memory."""
    move = strategy.combine(updates)
    ends = {}
    for name in NAMES:
        pasts[name], end = strategy.advance(pasts[name], head[name].ravel(), move[name].ravel())
        ends[name] = end.reshape(head[name].shape)
    return ends


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("devices", [1, 2, 5, 11])
def test_four_rounds_are_flowers(name: str, devices: int) -> None:
    chooser = np.random.default_rng(devices)
    head = {n: chooser.normal(size=s) for n, s in SPECIFICATION.shapes("head").items()}
    mine, theirs, pasts = head, head, dict.fromkeys(NAMES)
    strategy, other = ours(name), THEIRS[name]()
    for round in range(1, 5):
        updates = random_updates(chooser, devices)
        mine = our_round(strategy, pasts, mine, updates)
        theirs = flowers_round(other, theirs, updates, round)
        for array in NAMES:
            np.testing.assert_allclose(mine[array], theirs[array], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_order_of_updates_changes_no_bit(name: str) -> None:
    updates = random_updates(np.random.default_rng(0), 7)
    one, other = (ours(name).combine(which) for which in (updates, updates[::-1]))
    for array in NAMES:
        assert one[array].tobytes() == other[array].tobytes()


@pytest.mark.parametrize("name", STRATEGIES)
def test_advancing_changes_nothing_that_was_handed_over(name: str) -> None:
    strategy, point, move = ours(name), np.array([1.0, 2.0]), np.array([0.5, -0.5])
    past, _ = strategy.advance(None, point, move)
    first = strategy.advance(past, point, move)[1]
    assert (point.tolist(), move.tolist()) == ([1.0, 2.0], [0.5, -0.5])
    np.testing.assert_array_equal(strategy.advance(past, point, move)[1], first)


@pytest.mark.parametrize("name", ["fedavgm", "fedadam", "fedyogi", "fedadagrad"])
def test_the_servers_rate_can_be_set(name: str) -> None:
    """The first step is proportional to it."""
    move = np.array([0.25, -3.0])
    steps = [
        ours(name, server_learning_rate=rate).advance(None, np.zeros(2), move)[1]
        for rate in (0.5, 1.0)
    ]
    np.testing.assert_allclose(2 * steps[0], steps[1])


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=12),
    share=st.floats(0, 0.49),
)
def test_the_trimmed_mean_lies_between_mean_and_median(values: list[float], share: float) -> None:
    updates = [update(value) for value in values]
    found = FedTrimmedAvg(share).combine(updates)["user.bias"][0]
    cut = int(share * len(values))
    kept = sorted(np.float32(values).astype(float))[cut : len(values) - cut]
    assert found == pytest.approx(sum(kept) / len(kept), rel=1e-12, abs=1e-9)


def test_outliers_do_not_move_the_robust_ones() -> None:
    """Two of nine devices send a million: the mean follows, median and trimmed mean do not."""
    updates = [update(1.0)] * 7 + [update(1e6)] * 2
    found = {n: float(ours(n, trim=0.3).combine(updates)["user.bias"][0]) for n in STRATEGIES}
    assert found["fedmedian"] == found["fedtrimmedavg"] == 1.0
    assert found["fedavg"] > 1e5


def test_names_and_memory_reach_the_strategies() -> None:
    assert ours("fedavg", memory=7) == FedAvg(7)
    assert ours("fedprox", memory=3) == FedProx(3)
    assert {type(ours(name)).__name__.lower() for name in STRATEGIES} == set(STRATEGIES)
    assert average(random_updates(np.random.default_rng(1), 2)).keys() == set(NAMES)
