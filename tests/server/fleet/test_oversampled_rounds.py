"""An over-sampled round over Flower's messages: it ends with the quorum, the rest is late."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity

from common.heads.universal import initial_head
from common.messages import Request
from server.fleet.oversampling import OverSampling
from server.flower_adapter import FlowerFleet
from tests.server.fakes import FakeGrid, plan
from tests.server.fleet.test_misbehaving import SPECIFICATION, honest, node_of

NODES, QUORUM = 10, 3


@pytest.fixture(autouse=True)
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's messages ask the process which task of which run it is."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


class OneByOne(FakeGrid):
    """Gives one reply at each look."""

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return list(super().pull_messages(sorted(message_ids)[:1]))


def fleet(grid: FakeGrid, factor: float) -> FlowerFleet:
    over = OverSampling(factor, QUORUM)
    return FlowerFleet(grid, devices=0, timeout=20.0, poll=0.0, quorum=QUORUM, over=over)


def request(stage: str, round: int) -> Request:
    return Request(plan(name="fleet"), stage, round, initial_head(SPECIFICATION, seed=0))


def test_a_round_ends_with_the_answers_that_it_needs() -> None:
    grid = OneByOne({node: node_of(honest(node)) for node in range(NODES)})
    asking = fleet(grid, 2.0)
    replies = asking.ask(request("head", 1))
    assert len(grid.pushed) == 2 * QUORUM
    assert (len(replies.updates), replies.failures, replies.late) == (QUORUM, (), 0)
    assert asking.ask(request("head", 2)).late == 1, "what came later is counted and dropped"


def test_the_reference_asks_all_and_so_does_a_round_without_it() -> None:
    for factor, stage, round in ((2.0, "reference", 0), (0.0, "head", 1)):
        grid = OneByOne({node: node_of(honest(node)) for node in range(NODES)})
        assert len(fleet(grid, factor).ask(request(stage, round)).updates) == NODES


def test_who_does_not_answer_is_still_a_failure_where_too_few_do() -> None:
    def silent(_: Message) -> None:
        return None

    grid = OneByOne({0: node_of(honest(0)), **dict.fromkeys(range(1, NODES), silent)})
    asking = FlowerFleet(
        grid, devices=0, timeout=0.2, poll=0.0, quorum=QUORUM, over=OverSampling(10, QUORUM)
    )
    replies = asking.ask(request("head", 1))
    assert replies.failures == (f"{NODES - 1} device(s) did not answer in time",)
