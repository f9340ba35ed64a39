"""Devices that send what they should not: refused by name; the head is the honest ones' alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.flower_adapter import content_of
from common.heads.specification import HeadSpecification
from common.update import HeadUpdate
from server.aggregation import ServerState
from server.defence import Limits, Rule
from server.fleet.judge import Examiner
from server.fleet.rounds import RoundRules, Rounds, reports
from server.flower_adapter import FlowerFleet
from tests.server.fakes import FakeGrid, plan, update


@pytest.fixture(autouse=True)
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's messages ask the process which task of which run it is."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


SPECIFICATION = HeadSpecification(kind="logistic", dimension=3, features="made-up", classes=2)
HONEST = 4
ROUNDS = 3
RULE = Rule(failures=2, rounds=3)
Content = Callable[[str, int], RecordDict]


def honest_update(node: int, stage: str, round: int) -> HeadUpdate:
    draw = np.random.default_rng([node, round])
    values = {
        name: draw.normal(size=shape).ravel().tolist()
        for name, shape in SPECIFICATION.shapes(stage).items()
    }
    made = update(0.0, clips=node + 1, stage=stage, round=round, specification=SPECIFICATION)
    arrays = {
        name: np.asarray(values[name], np.float32).reshape(array.shape)
        for name, array in made.arrays.items()
    }
    return HeadUpdate(
        specification=SPECIFICATION, stage=stage, round=round, clips=node + 1, arrays=arrays
    )


def honest(node: int) -> Content:
    return lambda stage, round: content_of(honest_update(node, stage, round))


def changed(change: Callable[[np.ndarray], np.ndarray], *, clips: int = 1) -> Content:
    """An honest update whose arrays are changed after all checks of the device."""

    def content(stage: str, round: int) -> RecordDict:
        told = content_of(honest_update(9, stage, round))
        record = ArrayRecord()
        for name, array in told.array_records["arrays"].items():
            record[name] = Array.from_numpy_ndarray(change(array.numpy()))
        numbers = dict(told.metric_records["metrics"]) | {"num-examples": clips}
        return RecordDict({"arrays": record, "metrics": MetricRecord(numbers)})

    return content


def replayed(stage: str, round: int) -> RecordDict:
    """The update of head round 1 for ever, said to be of this round."""
    told = content_of(honest_update(9, stage, min(round, 1)))
    numbers = dict(told.metric_records["metrics"]) | {"round": round}
    return RecordDict({"arrays": told.array_records["arrays"], "metrics": MetricRecord(numbers)})


def stale(stage: str, round: int) -> RecordDict:
    """As `replayed`, and says so."""
    return content_of(honest_update(9, stage, min(round, 1)))


def node_of(content: Content) -> Callable[[Message], Message]:
    def node(message: Message) -> Message:
        numbers: Mapping[str, object] = message.content.config_records.get("config", {})
        if "stage" not in numbers:  # such as a release that is brought
            return Message(RecordDict(), reply_to=message)
        made = content(str(numbers["stage"]), int(str(numbers["round"])))
        return Message(made, reply_to=message)

    return node


class TwiceGrid(FakeGrid):
    """A grid whose last node answers twice, with different updates."""

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = list(super().pull_messages(message_ids))
        for asked in self.pushed:
            answers = [reply.metadata.reply_to_message_id for reply in replies]
            mine = asked.metadata.dst_node_id == HONEST
            if mine and answers == [asked.metadata.message_id]:
                replies.append(node_of(honest(77))(asked))
        return replies


def run(
    folder: Path,
    contents: Mapping[int, Content],
    *,
    grid: type[FakeGrid] = FakeGrid,
    rule: Rule = RULE,
) -> ServerState:
    folder.mkdir()
    names = {str(node): f"device-{node}" for node in contents}
    examiner = Examiner(folder, lambda: names, Limits(clips=100), rule)
    fleet = FlowerFleet(
        grid({node: node_of(content) for node, content in contents.items()}),
        devices=0,
        timeout=5.0,
        poll=0.0,
        quorum=HONEST,
        judge=examiner,
        left_out=examiner.left_out,
    )
    rules = RoundRules(quorum=HONEST, tries=1, patience=0.0)
    wanted = plan(name="fleet", rounds=ROUNDS)
    return Rounds(fleet, SPECIFICATION, wanted, folder, rules).run()


def honest_nodes() -> dict[int, Content]:
    return {node: honest(node) for node in range(HONEST)}


BAD: dict[str, tuple[Content, str]] = {
    "nan": (changed(lambda a: np.full_like(a, np.nan)), "not finite"),
    "infinite": (changed(lambda a: np.full_like(a, np.inf)), "not finite"),
    "huge": (changed(lambda a: a * np.float32(1e6)), "too long an update"),
    "shape": (changed(lambda a: np.zeros((*a.shape, 2), np.float32)), "not in an update's form"),
    "double": (changed(lambda a: a.astype(np.float64)), "not in an update's form"),
    "large": (changed(lambda a: np.zeros(100_000, np.float32)), "too many bytes"),
    "weight": (changed(lambda a: a, clips=10_000_000), "too many clips"),
    "stale": (stale, "of another round"),
    "replayed": (replayed, "an update of an earlier head"),
}


@pytest.mark.parametrize("kind", BAD)
def test_it_is_refused_by_name_and_changes_nothing(kind: str, tmp_path: Path) -> None:
    content, reason = BAD[kind]
    alone = run(tmp_path / "alone", honest_nodes()).head
    beside = run(tmp_path / "beside", {**honest_nodes(), HONEST: content}).head
    told = [refusal for each in reports(tmp_path / "beside") for refusal in each["refused"]]
    assert told, "nothing was refused"
    assert all(each.startswith(f"device-{HONEST}: {reason} (") for each in told), told
    if kind not in ("stale", "replayed"):  # those are honest at first
        for name, array in alone.arrays.items():
            np.testing.assert_array_equal(beside.arrays[name], array, err_msg=name)


@pytest.mark.parametrize("kind", ["stale", "replayed"])
def test_an_old_update_counts_once_when_it_was_new(kind: str, tmp_path: Path) -> None:
    """Whoever was honest in rounds 0 and 1 and then stops counts in these two rounds alone."""

    def stops(stage: str, round: int) -> RecordDict:
        return content_of(honest_update(9, stage, round)) if round < 2 else RecordDict()

    stopped = run(tmp_path / "stopped", {**honest_nodes(), HONEST: stops}).head
    beside = run(tmp_path / "beside", {**honest_nodes(), HONEST: BAD[kind][0]}).head
    for name, array in stopped.arrays.items():
        np.testing.assert_array_equal(beside.arrays[name], array, err_msg=name)


def test_a_device_that_goes_on_so_is_asked_no_more(tmp_path: Path) -> None:
    run(tmp_path / "fleet", {**honest_nodes(), HONEST: BAD["nan"][0]})
    refused = [len(each["refused"]) for each in reports(tmp_path / "fleet")]
    assert refused == [1, 1, 0, 0]
    examiner = Examiner(tmp_path / "fleet", lambda: {str(HONEST): f"device-{HONEST}"})
    assert examiner.left_out() == {str(HONEST)}


def test_of_two_different_updates_the_first_counts(tmp_path: Path) -> None:
    nodes = {**honest_nodes(), HONEST: honest(HONEST)}
    once = run(tmp_path / "once", nodes).head
    beside = run(tmp_path / "beside", nodes, grid=TwiceGrid, rule=Rule(failures=9, rounds=9)).head
    told = [refusal for each in reports(tmp_path / "beside") for refusal in each["refused"]]
    assert len(told) == ROUNDS + 1
    reason = "a second, different update in one round"
    assert all(each.startswith(f"device-{HONEST}: {reason} (") for each in told), told
    for name, array in once.arrays.items():
        np.testing.assert_array_equal(beside.arrays[name], array, err_msg=name)
