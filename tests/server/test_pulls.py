"""Flower's own Grid against devices that announce a reply and withhold what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import PullObjectResponse
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import http_grid

from client.flower_adapter import content_of
from server.flower_adapter import FlowerFleet
from tests.server.fakes import update
from tests.server.test_flower_adapter import REQUEST

pytestmark = pytest.mark.timeout(30)
WITHHOLDING, HONEST = 3, 7


class SuperLink:
    """Announces replies batch by batch, each once; gives out the objects of honest nodes alone."""

    def __init__(self, *batches: Sequence[Message]) -> None:
        self._batches = list(batches)
        self._objects: dict[str, bytes] = {}
        for reply in (each for batch in batches for each in batch):
            if reply.metadata.src_node_id == HONEST:
                held = get_all_nested_objects(reply)
                self._objects |= {name: each.deflate() for name, each in held.items()}

    def PullMessages(self, _: object) -> Any:
        batch = self._batches.pop(0) if self._batches else []
        return SimpleNamespace(
            messages_list=[message_to_proto(remove_content_from_message(each)) for each in batch],
            message_object_trees=[get_object_tree(each) for each in batch],
        )

    def PullObject(self, asked: Any) -> PullObjectResponse:
        content = self._objects.get(asked.object_id)
        return PullObjectResponse(
            object_found=True, object_available=content is not None, object_content=content or b""
        )

    def ConfirmMessageReceived(self, _: object) -> None:
        return None

    def close(self) -> None:
        return None


@pytest.fixture(autouse=True)
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def reply_of(node: int) -> Message:
    asked = Message(RecordDict({"config": ConfigRecord({"round": 1})}), node, "train")
    asked.metadata.__dict__ |= {"_message_id": f"asked-{node}", "_src_node_id": 1}
    reply = Message(content_of(update(1.0)), reply_to=asked)
    reply.metadata.__dict__ |= {"_src_node_id": node}
    reply.metadata.__dict__ |= {"_message_id": reply.object_id}
    return reply


def fleet(*batches: Sequence[Message]) -> FlowerFleet:
    grid = http_grid.HttpGrid(token="any")
    told: Any = grid
    told._client, told._run = SuperLink(*batches), Run.create_empty(1)
    told.push_messages = lambda messages: [f"asked-{m.metadata.dst_node_id}" for m in messages]
    told.get_node_ids = lambda: [WITHHOLDING, HONEST]
    return FlowerFleet(grid, devices=0, timeout=0.3, poll=0.01)


@pytest.mark.parametrize(
    "batches", [((WITHHOLDING, HONEST),), ((WITHHOLDING,), (HONEST,))], ids=["behind", "later"]
)
def test_who_withholds_what_was_announced_fails_and_holds_up_nobody(
    batches: tuple[tuple[int, ...], ...],
) -> None:
    """The honest reply is announced behind the withheld one, or while the server waits for it."""
    asked = fleet(*([reply_of(node) for node in batch] for batch in batches))
    replies = asked.ask(REQUEST)
    assert len(replies.updates) == 1
    assert len(replies.failures) == 1
    assert "a device failed" in replies.failures[0]


def test_flower_s_own_patience_is_back_afterwards() -> None:
    before = vars(http_grid)["pull_objects"]
    fleet([reply_of(HONEST)]).ask(REQUEST)
    assert vars(http_grid)["pull_objects"] is before
