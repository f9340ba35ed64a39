"""The fleet over a Grid: waiting, losses, errors and malformed replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.serde import recorddict_to_proto
from flwr.supercore.task_identity import TaskIdentity

from client.flower_adapter import content_of
from common.errors import WorkError
from common.heads.specification import HEAD_STAGE
from common.heads.universal import initial_head
from common.messages import EVALUATE, Request, read_request
from common.update import HeadUpdate
from common.wire import ARRAYS, NPY_KIND, NUMBERS
from server.federation import Replies
from server.flower_adapter import FlowerFleet
from tests.server.fakes import SPECIFICATION, FakeGrid, Node, plan, update


@pytest.fixture(autouse=True)
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's messages ask the process which task of which run it is."""
    monkeypatch.setattr(TaskIdentity, "_run_id", 1)
    monkeypatch.setattr(TaskIdentity, "_node_id", 1)
    monkeypatch.setattr(TaskIdentity, "_task_id", 1)


REQUEST = Request(plan(), HEAD_STAGE, 1, initial_head(SPECIFICATION, 1))


def node(value: float = 1.0, clips: int = 1) -> Node:
    return node_of(update(value, clips=clips))


def node_of(what: HeadUpdate | None) -> Node:
    return lambda message: Message(content_of(what), reply_to=message)


def silent(_: Message) -> None:
    return None


def broken(message: Message) -> Message:
    return Message(Error(2, "why is not the server's business"), reply_to=message)


def ask(
    grid: FakeGrid, *, devices: int = 0, timeout: float = 5.0, request: Request = REQUEST
) -> Replies:
    return FlowerFleet(grid, devices=devices, timeout=timeout, poll=0.001).ask(request)


def test_every_node_is_asked_the_same_request() -> None:
    grid = FakeGrid({7: node(), 3: node(2.0), 5: node_of(None)})
    replies = ask(grid)
    assert [message.metadata.dst_node_id for message in grid.pushed] == [3, 5, 7]
    assert {message.metadata.message_type for message in grid.pushed} == {"train"}
    for message in grid.pushed:
        arrays = {n: array.numpy() for n, array in message.content.array_records[ARRAYS].items()}
        numbers = dict(message.content.config_records["config"])
        found = read_request(numbers, arrays, SPECIFICATION)
        assert (found.plan, found.stage, found.round) == (REQUEST.plan, HEAD_STAGE, 1)
        for name, array in REQUEST.head.arrays.items():
            np.testing.assert_array_equal(found.head.arrays[name], array)
    assert sorted(float(u.arrays["user.bias"][0]) for u in replies.updates) == [1.0, 2.0]
    assert (replies.empty, replies.faults) == (1, ())


def test_an_evaluation_goes_out_as_one() -> None:
    grid = FakeGrid({1: node_of(None)})
    replies = ask(grid, request=Request(plan(), EVALUATE, 3, REQUEST.head))
    assert [message.metadata.message_type for message in grid.pushed] == ["evaluate"]
    assert (replies.updates, replies.empty, replies.faults) == ((), 1, ())


def test_bytes_are_those_of_the_updates() -> None:
    content = recorddict_to_proto(content_of(update(1.0))).ByteSize()
    replies = ask(FakeGrid({1: node(), 2: node(2.0), 3: node_of(None), 4: broken}))
    assert replies.bytes == 2 * content


def test_it_waits_for_nodes_that_register_late() -> None:
    assert len(ask(FakeGrid({1: node()}, appear=5)).updates) == 1


def test_it_waits_for_late_replies() -> None:
    replies = ask(FakeGrid({1: node(), 2: node()}, delay=5))
    assert (len(replies.updates), replies.faults) == (2, ())


@pytest.mark.parametrize("devices", [0, 3])
def test_no_node_in_time_is_an_error(devices: int) -> None:
    grid = FakeGrid({})
    with pytest.raises(WorkError, match="no device connected"):
        ask(grid, devices=devices, timeout=0.02)
    assert grid.pushed == []


def addresses(grid: FakeGrid) -> list[tuple[int, object]]:
    return [
        (message.metadata.dst_node_id, message.content.config_records["config"].get("device"))
        for message in grid.pushed
    ]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((4,), [(4, 0), (4, 1), (4, 2)]),
        ((9, 4), [(4, 0), (9, 1), (4, 2)]),
        ((1, 2, 3, 4, 5), [(1, 0), (2, 1), (3, 2)]),
    ],
)
def test_simulated_devices_are_shared_among_the_nodes(
    nodes: tuple[int, ...], expected: list[tuple[int, int]]
) -> None:
    """Each device is asked once, however many nodes there are."""
    grid = FakeGrid({number: node() for number in nodes})
    assert len(ask(grid, devices=3).updates) == 3
    assert addresses(grid) == expected


def test_a_deployment_s_messages_name_no_device() -> None:
    grid = FakeGrid({4: node(), 2: node()})
    ask(grid)
    assert addresses(grid) == [(2, None), (4, None)]


def test_missing_replies_are_counted() -> None:
    replies = ask(FakeGrid({1: node(), 2: silent, 3: silent}), timeout=0.05)
    assert len(replies.updates) == 1
    assert replies.faults == ("2 device(s) did not answer in time",)


def test_error_replies_are_counted_without_their_text() -> None:
    replies = ask(FakeGrid({1: node(), 2: broken}))
    assert len(replies.updates) == 1
    assert replies.faults == ("a device failed (code 2)",)


def changed(change: Callable[[RecordDict], object]) -> Node:
    def answer(message: Message) -> Message:
        content = content_of(update(1.0))
        change(content)
        return Message(content, reply_to=message)

    return answer


def with_data(change: Callable[[bytes], bytes]) -> Node:
    def edit(content: RecordDict) -> None:
        record = content.array_records[ARRAYS]
        old = record["user.bias"]
        record["user.bias"] = Array(old.dtype, old.shape, NPY_KIND, change(old.data))

    return changed(edit)


def drop_array(content: RecordDict) -> None:
    del content.array_records[ARRAYS]["user.bias"]


def add_array(content: RecordDict) -> None:
    content.array_records[ARRAYS]["more"] = Array(np.zeros(2, np.float32))


def add_record(content: RecordDict) -> None:
    content["more"] = ConfigRecord({"x": 1})


def swap_kinds(content: RecordDict) -> None:
    content[ARRAYS] = MetricRecord({"x": 1})


def other_shape(content: RecordDict) -> None:
    content.array_records[ARRAYS]["user.bias"] = Array(np.zeros(3, np.float32))


def other_dtype(content: RecordDict) -> None:
    content.array_records[ARRAYS]["user.bias"] = Array(np.zeros(2, np.float64))


def not_finite(content: RecordDict) -> None:
    content.array_records[ARRAYS]["user.bias"] = Array(np.full(2, np.nan, np.float32))


def number(name: str, value: object) -> Callable[[RecordDict], None]:
    def edit(content: RecordDict) -> None:
        content.metric_records[NUMBERS][name] = value  # type: ignore[assignment]

    return edit


def no_numbers(content: RecordDict) -> None:
    content[NUMBERS] = MetricRecord({})


MALFORMED: dict[str, Node] = {
    "array missing": changed(drop_array),
    "array too many": changed(add_array),
    "record too many": changed(add_record),
    "metrics for arrays": changed(swap_kinds),
    "other shape": changed(other_shape),
    "other dtype": changed(other_dtype),
    "not finite": changed(not_finite),
    "no numbers": changed(no_numbers),
    "other round": changed(number("round", 2)),
    "other head": changed(number("specification", 17)),
    "no clips": changed(number("num-examples", 0)),
    "too many clips": changed(number("num-examples", 2**40)),
    "clips as a float": changed(number("num-examples", 1.0)),
    "clips as a list": changed(number("num-examples", [1, 2])),
    "a number too many": changed(number("loss", 1.0)),
    "no data": with_data(lambda _: b""),
    "data of 3 bytes": with_data(lambda _: b"abc"),
    "data of 5 bytes": with_data(lambda _: b"abcde"),
    "data without its header": with_data(lambda data: data[-8:]),
    "data with more": with_data(lambda data: data + b"\0"),
    "data cut": with_data(lambda data: data[:-1]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_update_is_refused_and_counted(name: str) -> None:
    replies = ask(FakeGrid({1: node(), 2: MALFORMED[name]}))
    assert len(replies.updates) == 1
    assert len(replies.faults) == 1
    assert replies.faults[0].startswith("a device's update was refused: ")
    assert replies.bytes == recorddict_to_proto(content_of(update(1.0))).ByteSize()


def test_an_update_in_answer_to_an_evaluation_is_not_used() -> None:
    replies = ask(FakeGrid({1: node()}), request=Request(plan(), EVALUATE, 3, REQUEST.head))
    assert replies.updates == ()
    assert len(replies.faults) == 1


def test_an_empty_array_record_is_no_update() -> None:
    def answer(message: Message) -> Message:
        return Message(RecordDict({ARRAYS: ArrayRecord()}), reply_to=message)

    replies = ask(FakeGrid({1: answer}))
    assert replies.updates == ()
    assert len(replies.faults) == 1


def told(grid: FakeGrid) -> list[tuple[int, object]]:
    return [
        (message.metadata.dst_node_id, message.content.config_records["release"]["release"])
        for message in grid.pushed
        if message.metadata.message_type == "query.release"
    ]


def test_a_release_is_sent_to_each_node_once_whoever_answers() -> None:
    grid = FakeGrid({3: node_of(None), 5: silent, 7: broken})
    fleet = FlowerFleet(grid, devices=0, timeout=5.0, poll=0.001)
    fleet.tell(b"one", [b"link"])
    fleet.tell(b"one", [b"link"])
    assert told(grid) == [(3, b"one"), (5, b"one"), (7, b"one")]
    assert grid.pushed[0].content.config_records["release"]["links"] == [b"link"]
    fleet.tell(b"two", [])
    assert told(grid)[3:] == [(3, b"two"), (5, b"two"), (7, b"two")]
    assert fleet.hear(0.01) == 2, "of node 5, which never answers, both"


def test_a_node_that_connects_later_is_told_then() -> None:
    nodes = {1: node_of(None)}
    grid = FakeGrid(nodes)
    fleet = FlowerFleet(grid, devices=0, timeout=5.0, poll=0.001)
    fleet.tell(b"one", [])
    nodes[2] = node_of(None)
    fleet.tell(b"one", [])
    assert told(grid) == [(1, b"one"), (2, b"one")]
    assert fleet.hear(0.0) == 0


def test_what_a_release_is_answered_with_is_no_update() -> None:
    grid = FakeGrid({1: node(), 2: node(2.0)})
    fleet = FlowerFleet(grid, devices=0, timeout=5.0, poll=0.001)
    fleet.tell(b"one", [])
    replies = fleet.ask(REQUEST)
    assert (len(replies.updates), replies.late, replies.faults) == (2, 0, ())


class TwoRoundsLate(FakeGrid):
    """What one node answers is there when the round after the next looks for it."""

    round = 0
    slow = 1

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        ready = [
            identity
            for identity in message_ids
            if identity in self._replies
            and (
                self._replies[identity].metadata.src_node_id != self.slow
                or self._asked_in(identity) + 2 <= self.round
            )
        ]
        return [self._replies.pop(identity) for identity in ready]

    def _asked_in(self, identity: str) -> int:
        (sent,) = [each for each in self.pushed if each.metadata.message_id == identity]
        return int(str(sent.content.config_records["config"]["round"]))


def test_an_answer_that_comes_two_rounds_late_is_fetched_and_counted() -> None:
    def slow(message: Message) -> Message:
        return Message(content_of(update(1.0)), reply_to=message)

    grid = TwoRoundsLate({1: slow, 2: node_of(None)})
    fleet = FlowerFleet(grid, devices=0, timeout=0.01, poll=0.001)
    late = []
    for grid.round in range(1, 6):
        late.append(fleet.ask(replace(REQUEST, round=grid.round)).late)
    assert late == [0, 0, 1, 1, 1]
    assert len(grid._replies) == 2, "of the last two rounds alone"


def test_requests_that_are_never_answered_are_not_kept_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.flower_adapter.MOST_UNANSWERED", 3)
    fleet = FlowerFleet(FakeGrid({1: silent, 2: silent}), devices=0, timeout=0.0, poll=0.001)
    for round in range(1, 4):
        fleet.ask(replace(REQUEST, round=round))
    assert list(fleet._unanswered) == ["message-3", "message-4", "message-5"]
