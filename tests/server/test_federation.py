"""Rounds of a federation over a fleet that is written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.errors import WorkError
from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE
from common.heads.universal import UniversalHead
from common.messages import EVALUATE, Request
from common.strategies import STRATEGIES
from server.federation import Replies, RoundRecord, run_federation
from tests.server.fakes import (
    SPECIFICATION,
    Answer,
    FakeFleet,
    declines,
    fails,
    fails_after_reference,
    plan,
    sends,
)


def federate(fleet: FakeFleet, **changes: object) -> tuple[UniversalHead, list[RoundRecord]]:
    records: list[RoundRecord] = []
    return run_federation(fleet, SPECIFICATION, plan(**changes), records.append), records


def test_the_reference_comes_first_then_the_rounds() -> None:
    fleet = FakeFleet(sends(1.0))
    federate(fleet)
    asked = [(request.stage, request.round) for request in fleet.requests]
    assert asked == [(REFERENCE_STAGE, 0), (HEAD_STAGE, 1), (HEAD_STAGE, 2)]


def test_held_out_devices_test_the_final_head() -> None:
    fleet = FakeFleet(sends(1.0))
    head, records = federate(fleet, evaluate=True)
    last = fleet.requests[-1]
    assert (last.stage, last.round) == (EVALUATE, 3)
    assert last.head is head
    assert len(records) == 3


def test_each_round_is_sent_the_head_of_the_round_before() -> None:
    """Devices with 3 and 1 clips send 1 and 5: every round adds 2."""
    fleet = FakeFleet(sends(1.0, clips=3), declines, sends(5.0, clips=1))
    head, _ = federate(fleet)
    for number, request in enumerate(fleet.requests):
        np.testing.assert_array_equal(request.head.arrays["user.bias"], 2.0 * max(number - 1, 0))
    for name, array in head.arrays.items():
        np.testing.assert_array_equal(array, 2.0 if name.startswith("reference") else 4.0)


def test_failures_are_recorded_and_the_round_goes_on() -> None:
    _, records = federate(FakeFleet(sends(1.0), fails_after_reference, declines))
    assert [record.failures for record in records] == [(), ("it broke later",), ("it broke later",)]
    assert [record.clients for record in records] == [2, 1, 1]
    assert [record.bytes for record in records] == [200, 100, 100]


def test_a_record_says_what_was_transmitted() -> None:
    _, records = federate(FakeFleet(sends(1.0)))
    assert [(r.federation, r.round, r.stage) for r in records] == [
        ("fold-1", 0, REFERENCE_STAGE),
        ("fold-1", 1, HEAD_STAGE),
        ("fold-1", 2, HEAD_STAGE),
    ]
    assert records[1].arrays[0] == {
        "name": "population.weight",
        "shape": [2, 1],
        "dtype": "float32",
    }
    assert len(records[0].arrays) == 2
    assert len(records[1].arrays) == 4


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        ((fails, fails), "round 0 of fold-1 brought no update: it is broken"),
        ((declines,), "round 0 of fold-1 brought no update: all devices declined"),
        ((fails_after_reference,), "round 1 of fold-1 brought no update: it broke later"),
        ((), "round 0 of fold-1 brought no update: all devices declined"),
    ],
)
def test_a_round_without_any_update_ends_the_federation(
    devices: tuple[object, ...], reason: str
) -> None:
    with pytest.raises(WorkError, match=reason):
        federate(FakeFleet(*devices))  # type: ignore[arg-type]


def test_a_test_that_fails_ends_the_federation() -> None:
    def fails_the_test(request: Request) -> Answer:
        return "no space" if request.stage == EVALUATE else sends(1.0)(request)

    with pytest.raises(WorkError, match=r"1 device\(s\) failed to test federation fold-1: no spa"):
        federate(FakeFleet(sends(1.0), fails_the_test), evaluate=True)
    federate(FakeFleet(sends(1.0), fails_the_test), evaluate=False)


def test_the_same_fleet_gives_the_same_head() -> None:
    one, other = (federate(FakeFleet(sends(0.1), sends(0.3, clips=7)))[0] for _ in range(2))
    for name, array in one.arrays.items():
        assert array.tobytes() == other.arrays[name].tobytes()


def after_reference(answer: Answer, *, lost: int = 0) -> FakeFleet:
    """A fleet that answers the reference, and then does as told."""

    def device(request: Request) -> Answer:
        return sends(1.0)(request) if request.stage == REFERENCE_STAGE else answer

    class Losing(FakeFleet):
        def ask(self, request: Request) -> Replies:
            return replace(super().ask(request), lost=lost * (request.stage == HEAD_STAGE))

    return Losing(device)


@pytest.mark.parametrize(
    ("fleet", "changes"),
    [
        (after_reference(None), {"clients_per_round": 1.0}),
        (after_reference(None, lost=1), {"dropout": 0.5}),
    ],
    ids=["nobody asked takes part", "all replies lost"],
)
def test_a_round_that_brings_nothing_by_chance_leaves_the_head(
    fleet: FakeFleet, changes: dict[str, object]
) -> None:
    head, records = federate(fleet, **changes)
    assert [record.clients for record in records] == [1, 0, 0]
    assert [record.lost for record in records] == [0, *[fleet.ask(fleet.requests[-1]).lost] * 2]
    for name, array in head.arrays.items():
        np.testing.assert_array_equal(array, 1.0 if name.startswith("reference") else 0.0)


@pytest.mark.parametrize(
    ("fleet", "changes"),
    [
        (FakeFleet(declines), {"clients_per_round": 1.0}),
        (after_reference("it broke", lost=1), {"dropout": 0.5}),
        (after_reference(None), {"dropout": 0.5}),
    ],
    ids=["no reference", "a failure", "nothing lost"],
)
def test_a_round_that_brings_nothing_otherwise_ends_the_federation(
    fleet: FakeFleet, changes: dict[str, object]
) -> None:
    with pytest.raises(WorkError, match="brought no update"):
        federate(fleet, **changes)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_runs_a_federation(strategy: str) -> None:
    """All devices send 1: every strategy moves every entry up, and the reference by 1."""
    mu = 0.1 if strategy == "fedprox" else 0.0
    head, _ = federate(FakeFleet(sends(1.0), sends(1.0, 7)), strategy=strategy, proximal_mu=mu)
    for name, array in head.arrays.items():
        assert (array > 0).all()
        if name.startswith("reference"):
            np.testing.assert_array_equal(array, 1.0)
