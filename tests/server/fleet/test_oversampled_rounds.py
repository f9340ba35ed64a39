"""An over-sampled round over Flower's messages: it ends with the quorum, the rest is late."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from common.heads.universal import initial_head
from common.messages import Request
from server.fleet.judge import Examiner
from server.fleet.oversampling import OverSampling
from server.fleet.rounds import RoundRules, Rounds, reports
from server.flower_adapter import FlowerFleet
from tests.server.fakes import FakeGrid, plan
from tests.server.fleet.test_misbehaving import SPECIFICATION, Content, changed, honest, node_of

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


class WorstFirst(OneByOne):
    """Gives the replies of `first` before all others."""

    first: frozenset[int] = frozenset()

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        nodes = {each.metadata.message_id: each.metadata.dst_node_id for each in self.pushed}
        order = sorted(message_ids, key=lambda each: nodes[each] not in self.first)
        return next((found for each in order if (found := self._one(each))), [])

    def _one(self, message: str) -> list[Message]:
        return list(FakeGrid.pull_messages(self, [message]))


def drawn() -> list[int]:
    """Whom round 1 asks first."""
    return OverSampling(1.3, QUORUM).asked(range(NODES), request("head", 1))


def nothing(_: str, __: int) -> RecordDict:
    return RecordDict()


def try_round(folder: Path, contents: dict[int, Content], tries: int) -> list[str]:
    """Rounds 0 and 1 with some odd devices; the refusals of round 1."""
    grid = WorstFirst({n: node_of(contents.get(n, honest(n))) for n in range(NODES)})
    grid.first = frozenset(contents)
    examiner = Examiner(folder, dict)
    over = OverSampling(1.3, QUORUM)
    asking = FlowerFleet(
        grid, devices=0, timeout=5.0, poll=0.0, quorum=QUORUM, judge=examiner, over=over
    )
    rules = RoundRules(quorum=QUORUM, tries=tries, patience=0.0)
    Rounds(asking, SPECIFICATION, plan(name="fleet", rounds=1), folder, rules).run()
    done = reports(folder)[1]
    assert (done["round"], done["accepted"] >= QUORUM, done["tries"]) == (1, True, tries)
    return list(done["refused"])


def spoilt(change: Content, node: int) -> Content:
    """Honest in round 0, where every answer is waited for."""
    return lambda stage, round: (change if round else honest(node))(stage, round)


ODD = {
    "not finite": changed(lambda array: np.full_like(array, np.nan)),
    "too long an update": changed(lambda array: array * np.float32(1e6)),
}


@pytest.mark.parametrize("reason", ODD)
def test_a_reply_that_is_refused_is_not_one_of_those_needed(tmp_path: Path, reason: str) -> None:
    bad = drawn()[0]
    (refused,) = try_round(tmp_path, {bad: spoilt(ODD[reason], bad)}, tries=1)
    assert refused.startswith(f"{bad}: {reason}")


def test_devices_that_decline_do_not_hold_a_round_up(tmp_path: Path) -> None:
    mute = drawn()[:2]
    assert not try_round(tmp_path, {n: spoilt(nothing, n) for n in mute}, tries=2)
