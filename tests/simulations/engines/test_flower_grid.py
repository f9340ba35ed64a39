"""The in-process Grid: messages as bytes, replies once, workers or none."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import Message as MessageProto

import client.app
from common.errors import WorkError
from common.heads.specification import HEAD_STAGE
from common.messages import Request
from simulations.engines.flower_grid import FIRST_NODE, RUN_ID, FlowerGrid, answer_bytes
from tests.client.fakes import device, made_up_clips, message_to, request, specification


@pytest.fixture
def told() -> list[int]:
    return []


@pytest.fixture
def grid(tmp_path: Path, told: list[int]) -> Iterator[FlowerGrid]:
    for index in range(3):
        device(tmp_path, made_up_clips(seed=index), specification(), index=index)
    config = {"state-root": str(tmp_path)}
    with FlowerGrid(devices=3, run_config=config, workers=1, progress=told.append) as open_grid:
        yield open_grid


def asked() -> Request:
    return request(specification(), HEAD_STAGE)


def messages() -> list[Message]:
    made = [message_to(asked(), device=index) for index in range(3)]
    for index, message in enumerate(made):
        message.metadata.__dict__["_dst_node_id"] = FIRST_NODE + index
    return made


def test_all_nodes_are_there_from_the_start(grid: FlowerGrid) -> None:
    assert list(grid.get_node_ids()) == [FIRST_NODE, FIRST_NODE + 1, FIRST_NODE + 2]
    assert grid.run.run_id == RUN_ID


def test_each_reply_is_given_out_once(grid: FlowerGrid, told: list[int]) -> None:
    ids = list(grid.push_messages(messages()))
    assert len(set(ids)) == 3
    first = list(grid.pull_messages(ids[:1]))
    assert [reply.metadata.reply_to_message_id for reply in first] == ids[:1]
    rest = list(grid.pull_messages(ids))
    assert [reply.metadata.reply_to_message_id for reply in rest] == ids[1:]
    assert list(grid.pull_messages([*ids, "unknown"])) == []
    assert told == [1, 1, 1]


def test_replies_come_from_the_nodes_that_were_asked(grid: FlowerGrid) -> None:
    replies = grid.send_and_receive(messages())
    nodes = {reply.metadata.src_node_id for reply in replies}
    assert nodes == set(grid.get_node_ids())


def test_a_device_shares_no_object_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an app does to its message stays with it."""
    seen: list[Message] = []
    app = ClientApp()

    @app.train()
    def greedy(message: Message, _: Context) -> Message:
        seen.append(message)
        message.content.config_records["config"]["stage"] = "changed"
        return Message(message.content, reply_to=message)

    monkeypatch.setattr(client.app, "app", app)
    message = message_to(asked())
    config = {"state-root": str(tmp_path)}
    with FlowerGrid(devices=1, run_config=config, workers=1, progress=lambda _: None) as grid:
        (reply,) = grid.send_and_receive([message])
    assert message.content.config_records["config"]["stage"] == HEAD_STAGE
    assert reply.content.config_records["config"]["stage"] == "changed"
    assert seen[0] is not message
    assert reply.content is not seen[0].content


def test_an_app_that_raises_is_an_error_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Flower's runtime does it, text and all: so that tests see what a server would see."""
    app = ClientApp()

    @app.train()
    def broken(message: Message, _: Context) -> Message:
        raise ValueError("the text of it")

    monkeypatch.setattr(client.app, "app", app)
    message = message_to(asked())
    message.metadata.__dict__["_message_id"] = "asked"
    wire = message_to_proto(message).SerializeToString()
    reply = MessageProto.FromString(answer_bytes(wire, 0, 1, {"state-root": str(tmp_path)}))
    assert reply.error.code == 2
    assert reply.error.reason == "<class 'ValueError'>:<'the text of it'>"
    assert reply.metadata.reply_to_message_id == "asked"


def test_two_runs_of_an_app_share_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message gets a fresh context: devices keep their state in their folders only."""
    app = ClientApp()
    sizes: list[int] = []

    @app.train()
    def remembering(message: Message, context: Context) -> Message:
        sizes.append(len(context.state))
        context.state["seen"] = message.content.config_records["config"]
        return Message(RecordDict(), reply_to=message)

    monkeypatch.setattr(client.app, "app", app)
    config = {"state-root": str(tmp_path)}
    with FlowerGrid(devices=1, run_config=config, workers=1, progress=lambda _: None) as grid:
        list(grid.send_and_receive([message_to(asked()), message_to(asked())]))
    assert sizes == [0, 0]


def test_a_dead_worker_is_told_in_a_sentence(grid: FlowerGrid) -> None:
    dead: Future[bytes] = Future()
    dead.set_exception(BrokenProcessPool("gone"))
    grid._replies["lost"] = dead
    with pytest.raises(WorkError, match="--workers 1"):
        list(grid.pull_messages(["lost"]))


def test_a_reply_that_is_not_there_yet_is_waited_for(grid: FlowerGrid) -> None:
    slow: Future[bytes] = Future()
    grid._replies["slow"] = slow
    assert list(grid.pull_messages(["slow"])) == []
    message = message_to(asked())
    message.metadata.__dict__["_message_id"] = "slow"
    slow.set_result(message_to_proto(message).SerializeToString())
    assert len(list(grid.pull_messages(["slow"]))) == 1
