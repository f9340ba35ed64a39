"""Secure sums that were asked for and did not come to an end: restarts, quorums, giving up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from flwr.app import Message

from client.secure_aggregation.replay import EVENT
from client.store import DeviceFolder
from common.errors import UsageError, WorkError
from common.messages import Request
from common.paths import simulated_device
from common.secure_aggregation import steps
from common.settings import FederationPlan
from server.fleet.abandon import abandon_sum
from server.fleet.folder import FederationSettings, FleetFolder
from server.fleet.rounds import RoundRules, Rounds
from server.flower_adapter import FlowerFleet
from server.secure_aggregation.outcome import Answers
from server.secure_aggregation.unfinished import FILE, OnDisk
from simulations.engines.flower_grid import FIRST_NODE, FlowerGrid
from tests.client.fakes import device, specification
from tests.common.plans import sum_plan
from tests.simulations.engines.test_secure_sums import (
    DEVICES,
    Killed,
    Meddler,
    assert_mean_of_all,
    fleet,
    ledger,
    request,
    root,
)

__all__ = ["root"]
EVERYBODY = {"smallest_sum": DEVICES}


class Restarted(FlowerGrid):
    """Nodes as a SuperLink that was just started has them: their ids say nothing of devices."""

    first = FIRST_NODE

    def get_node_ids(self) -> Iterable[int]:
        return range(self.first, self.first + DEVICES)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        for message in messages:
            place = message.metadata.dst_node_id - self.first
            device = place if self.first == FIRST_NODE else DEVICES - 1 - place
            message.content.config_records["config"]["device"] = device
            message.metadata.__dict__["_dst_node_id"] = FIRST_NODE + device
        return super().push_messages(messages)


@contextmanager
def deployed(
    root: Path, unfinished: OnDisk, *, first: int = FIRST_NODE, quorum: int = 1
) -> Iterator[FlowerFleet]:
    """Devices that are known by their nodes' ids alone, from `first` on."""
    config = {"state-root": str(root)}
    with Restarted(devices=DEVICES, run_config=config, workers=1, progress=lambda _: None) as grid:
        grid.first = first
        yield FlowerFleet(
            grid, devices=0, timeout=20, poll=0.001, unfinished=unfinished, quorum=quorum
        )


def reveals(root: Path) -> list[int]:
    """How many sums each device helped to reveal."""
    told = [[each.get("event") for each in ledger(root, index)] for index in range(DEVICES)]
    return [events.count(EVENT) for events in told]


@pytest.mark.parametrize("asked_before", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_sum_is_gone_on_with_where_all_nodes_have_new_ids(
    root: Path, tmp_path: Path, asked_before: bool
) -> None:
    """Flower draws them anew whenever its SuperLink starts; more rounds may be wanted by then."""
    unfinished = OnDisk(tmp_path / "sum.json")
    with deployed(root, unfinished) as asked:
        Killed(asked, steps.REVEAL, after=asked_before)
        with pytest.raises(KeyboardInterrupt):
            asked.ask(request(sum_plan()))
    with deployed(root, unfinished, first=9001) as asked:
        found = asked.ask(request(sum_plan(rounds=7)))
    assert reveals(root) == [1] * DEVICES
    assert_mean_of_all(root, found)


@pytest.mark.slow
def test_a_sum_that_was_asked_for_needs_no_quorum_any_more(root: Path, tmp_path: Path) -> None:
    """Three of five nodes are back: enough for the sum's threshold, and fewer than the quorum."""
    unfinished = OnDisk(tmp_path / "sum.json")
    some = sum_plan(smallest_sum=3)
    with deployed(root, unfinished, quorum=DEVICES) as asked:
        Dead(asked, {1001, 1002})
        first = asked.ask(request(some))
    assert first.mean is None
    with deployed(root, unfinished, quorum=DEVICES, first=9001) as asked:
        asked._there = lambda out: [9001, 9003, 9004, 9005]  # type: ignore[method-assign]
        found = asked.ask(request(some))
    assert_mean_of_all(root, found)


class Dead:
    """Nodes that answer all steps but the last."""

    def __init__(self, inner: FlowerFleet, nodes: set[int]) -> None:
        self._nodes, self._carry = nodes, inner.carry
        inner.carry = self.carry  # type: ignore[method-assign]

    def carry(
        self, asked: Request, step: str, payloads: Mapping[int, bytes], nodes: Mapping[int, int]
    ) -> Answers:
        alive = {n: each for n, each in payloads.items() if n not in self._nodes}
        return self._carry(asked, step, alive if step == steps.REVEAL else payloads, nodes)


def rounds_of(asked: FlowerFleet, folder: Path, of: FederationPlan, quorum: int) -> Rounds:
    rules = RoundRules(quorum=quorum, tries=2, patience=0.0)
    return Rounds(asked, specification(), of, folder, rules)


def decline(root: Path, held_out_of: tuple[str, ...]) -> None:
    clips = DeviceFolder(simulated_device(root, 0)).clips()
    device(root, clips, specification(), index=0, held_out_of=held_out_of)


def test_nothing_is_revealed_below_the_quorum(root: Path, tmp_path: Path) -> None:
    """The device that declined takes part later; the head is then a sum of all."""
    decline(root, ("sums",))
    unfinished = OnDisk(tmp_path / "sum.json")
    wanted = sum_plan(rounds=1)
    with deployed(root, unfinished, quorum=DEVICES) as asked:
        with pytest.raises(WorkError, match=r"4 member\(s\) are left at advertise, the quorum"):
            rounds_of(asked, tmp_path / "federation", wanted, DEVICES).run()
        assert reveals(root) == [0] * DEVICES
        decline(root, ())
        done = rounds_of(asked, tmp_path / "federation", wanted, DEVICES).run()
    assert done.round == 2
    assert reveals(root) == [2] * DEVICES, "in both rounds, once each"


@pytest.mark.slow
def test_a_sum_that_was_revealed_counts_whatever_the_quorum_is(root: Path, tmp_path: Path) -> None:
    """A vector may be lost, and a sum of four be under way as the quorum was not looked at."""
    unfinished = OnDisk(tmp_path / "sum.json")
    decline(root, ("sums",))
    with deployed(root, unfinished) as asked:
        done = rounds_of(asked, tmp_path / "federation", sum_plan(rounds=1), DEVICES).run()
    assert done.round == 2


@pytest.mark.slow
def test_a_member_who_never_reveals_is_waited_for_and_the_operator_told(
    root: Path, tmp_path: Path
) -> None:
    unfinished = OnDisk(tmp_path / "sum.json")
    with fleet(root, unfinished=unfinished) as asked:
        Meddler(asked, steps.REVEAL, lambda data: None)
        tries = [asked.ask(request(sum_plan(**EVERYBODY))) for _ in range(2)]
    assert all(each.mean is None for each in tries)
    for each in tries:
        assert "round 1 of sums has the shares of 4 member(s), 5 are needed" in each.failures[0]
        assert "mien server rounds abandon" in each.failures[0]


@pytest.fixture
def folder(tmp_path: Path) -> FleetFolder:
    begun = FleetFolder(tmp_path / "fleet")
    begun.root.mkdir()
    begun.begin(
        FederationSettings(
            specification=specification(),
            plan=sum_plan(rounds=1),
            rules=RoundRules(quorum=3, tries=1, patience=0.0),
            deadline=60.0,
        )
    )
    return begun


@pytest.mark.slow
def test_a_sum_that_was_given_up_is_begun_anew_by_those_who_revealed_none(
    root: Path, folder: FleetFolder
) -> None:
    unfinished = OnDisk(folder.federation / FILE)
    with fleet(root, unfinished=unfinished) as asked:
        Killed(asked, steps.REVEAL, after=False)
        with pytest.raises(KeyboardInterrupt):
            rounds_of(asked, folder.federation, sum_plan(rounds=1), 3).run()
    before = unfinished.read()
    assert before is not None
    assert abandon_sum(folder) == before
    assert unfinished.read() is None
    unfinished.write(before)
    assert unfinished.read() is None, "a run that was just asking for it changes nothing"
    with fleet(root, unfinished=unfinished) as asked:
        assert rounds_of(asked, folder.federation, sum_plan(rounds=1), 3).run().round == 2
    with pytest.raises(UsageError, match="nothing to give up"):
        abandon_sum(folder)


def test_who_revealed_for_a_sum_that_was_given_up_helps_with_no_other(
    root: Path, tmp_path: Path
) -> None:
    unfinished = OnDisk(tmp_path / "sum.json")
    with fleet(root, unfinished=unfinished) as asked:
        Meddler(asked, steps.REVEAL, lambda data: None)
        asked.ask(request(sum_plan(**EVERYBODY)))
    unfinished.abandon()
    with fleet(root, unfinished=unfinished) as asked:
        again = asked.ask(request(sum_plan(**EVERYBODY)))
    assert again.mean is None
    assert reveals(root) == [1] * DEVICES
