"""The SuperNode's locks: this device's own code only, and errors that tell nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message, RecordDict
from flwr.cli.build import build_fab_from_files
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode import start_client_internal as worker
from flwr.supernode.nodestate import NodeStateFactory

from client.daemon import node
from client.daemon.node import AGENT, OTHER_CODE, FixedErrors, own_bundle
from client.gate import REFUSED_REASON
from common.app_bundle import APP_ID, app_files

RUN, NODE = 5, 7


@dataclass
class Box:
    """A locked SuperNode's parts, and what it told."""

    state: Any
    store: Any
    said: list[str]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Box:
    for name, value in (("_run_id", RUN), ("_node_id", 1), ("_task_id", 1)):
        monkeypatch.setattr(TaskIdentity, name, value)
    for name in ("_pull_and_store_message", "_verify_fab", "_push_messages"):
        monkeypatch.setattr(worker, name, getattr(worker, name))
    said: list[str] = []
    node.lock(said.append)
    objects = ObjectStoreFactory()
    state = NodeStateFactory(objectstore_factory=objects).state()
    state.set_node_id(NODE)
    return Box(state, objects.store(), said)


def bundle(change: Callable[[dict[str, bytes]], object] = lambda files: None) -> bytes:
    files = app_files()
    change(files)
    return build_fab_from_files(files)[0]


def pulled(box: Box, content: bytes, **changes: Any) -> int | None:
    """One message of an unknown run with this bundle, through Flower's own function."""
    message = Message(RecordDict(), NODE, "train")
    message.metadata.__dict__["_message_id"] = "asked"
    run = Run.create_empty(RUN)
    run.fab_id, run.fab_version = APP_ID, version("mien")
    run.fab_hash = hashlib.sha256(content).hexdigest()
    for name, value in changes.items():
        setattr(run, name, value)
    return worker._pull_and_store_message(
        state=box.state,
        object_store=box.store,
        node_config={},
        receive=lambda: (message, get_object_tree(message)),
        get_run=lambda _: run,
        get_fab=lambda hash, _: Fab(hash, content, {}),
        pull_object=lambda *_: b"",
        confirm_message_received=lambda *_: None,
        trusted_entities=None,
    )


def replies(box: Box) -> list[Message]:
    fixed = FixedErrors(box.state, box.store, worker._insert_message)
    return list(fixed.get_messages_legacy(is_reply=True))


def test_the_devices_own_bundle_is_the_servers() -> None:
    from server.fleet.control import bundle as server_bundle

    assert own_bundle() == hashlib.sha256(server_bundle()).hexdigest()


def test_the_devices_own_code_runs(box: Box) -> None:
    pulled(box, bundle())
    assert box.said == []
    assert box.state.get_run(RUN) is not None


def one_byte(files: dict[str, bytes]) -> None:
    files["client/app.py"] += b"\n"


def one_more(files: dict[str, bytes]) -> None:
    files["client/more.py"] = b""


def one_less(files: dict[str, bytes]) -> None:
    del files["client/gate.py"]


@pytest.mark.parametrize("change", [one_byte, one_more, one_less])
def test_other_code_is_never_stored_and_the_server_learns_one_sentence(
    box: Box, change: Callable[[dict[str, bytes]], object]
) -> None:
    pulled(box, bundle(change))
    assert len(box.said) == 1
    assert box.said[0].startswith(OTHER_CODE)
    assert box.state.get_run(RUN) is None
    (reply,) = replies(box)
    assert reply.error.reason == REFUSED_REASON


@pytest.mark.parametrize(
    "changes",
    [
        {"fab_id": "mien/other"},
        {"fab_id": "../x"},
        {"fab_version": "9"},
        {"fab_hash": "0" * 64},
        {"primary_task_type": AGENT},
    ],
)
def test_a_run_that_names_another_app_is_refused_whatever_bundle_comes(
    box: Box, changes: dict[str, str]
) -> None:
    """The name and the hash say from which folder the code is loaded."""
    pulled(box, bundle(), **changes)
    assert len(box.said) == 1
    assert box.state.get_run(RUN) is None


def test_an_exceptions_text_does_not_leave(box: Box) -> None:
    asked = Message(RecordDict(), NODE, "train")
    asked.metadata.__dict__["_message_id"] = "asked"
    talking = Message(Error(2, "<class 'OSError'>:<'/home/ada/ben.mp4'>"), reply_to=asked)
    worker._insert_message(talking, box.state, box.store)
    (reply,) = replies(box)
    assert (reply.error.code, reply.error.reason) == (2, REFUSED_REASON)
    assert reply.metadata.reply_to_message_id == "asked"
    tree = box.store.get_object_tree(reply.metadata.message_id)
    assert b"ben.mp4" not in box.store.get(tree.object_id)
    assert replies(box) == []


def test_a_flower_without_these_functions_is_not_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker, "_verify_fab", lambda fab: True)
    with pytest.raises(RuntimeError, match="can't be locked"):
        node.lock(print)
