"""The gate fails closed, and the ledger says exactly what was on the wire."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

import client.app
from client.flower_adapter import REFUSED_CODE, content_of
from client.gate import REFUSED_REASON, let_through
from client.ledger import Ledger, LedgerBroken
from client.store import DeviceFolder
from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE, HeadSpecification
from common.messages import EVALUATE, Request
from common.update import HeadUpdate, NotAnUpdate
from common.wire import ARRAYS, NUMBERS, Expected, WireRefused, WireReply, wire_reply
from simulations.engines.flower_grid import FIRST_NODE
from tests.client.fakes import (
    ask,
    content_bytes,
    device,
    made_up_clips,
    message_to,
    read,
    request,
    send,
    specification,
)


def ready(root: Path, **settings: object) -> DeviceFolder:
    return device(root, made_up_clips(), specification(), **settings)


def assert_nothing_sent(wire: bytes) -> None:
    reply = read(wire)
    assert reply.has_error()
    assert (reply.error.code, reply.error.reason) == (REFUSED_CODE, REFUSED_REASON)


def assert_no_data(wire: bytes, folder: DeviceFolder) -> None:
    """Neither content nor more of an error than Flower's own words; no entry in the ledger."""
    reply = read(wire)
    assert reply.has_error()
    assert "Ada" not in reply.error.reason
    assert list(folder.ledger.entries()) == []


@pytest.mark.parametrize("stage", [REFERENCE_STAGE, HEAD_STAGE])
def test_the_ledger_is_what_was_on_the_wire(tmp_path: Path, stage: str) -> None:
    folder = ready(tmp_path)
    reply = read(ask(tmp_path, request(specification(), stage)))
    (entry,) = folder.ledger.entries()
    sent = reply.content.array_records[ARRAYS]
    assert [array["name"] for array in entry["arrays"]] == list(sent)
    for said, array in zip(entry["arrays"], sent.values(), strict=True):
        values = np.load(io.BytesIO(array.data), allow_pickle=False)
        assert array.data.endswith(values.tobytes())
        assert said == {
            "name": said["name"],
            "shape": list(array.shape),
            "dtype": "float32",
            "bytes": 4 * values.size,
            "sha256": hashlib.sha256(array.data[-4 * values.size :]).hexdigest(),
        }
    payload = b"".join(np.load(io.BytesIO(array.data)).tobytes() for array in sent.values())
    assert entry["sha256"] == hashlib.sha256(payload).hexdigest()
    assert entry["bytes"] == len(content_bytes(reply.content))
    assert entry["clips"] == reply.content.metric_records[NUMBERS]["num-examples"]
    assert (entry["stage"], entry["round"]) == (stage, int(stage == HEAD_STAGE))
    assert (entry["federation"], entry["run"], entry["node"]) == ("fold-1", 1, FIRST_NODE)


def test_each_release_is_one_entry(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    for round in range(1, 4):
        ask(tmp_path, request(specification(), HEAD_STAGE, round=round))
    assert [entry["round"] for entry in folder.ledger.entries()] == [1, 2, 3]


def test_an_empty_reply_is_no_entry(tmp_path: Path) -> None:
    folder = ready(tmp_path, held_out_of=("fold-1",))
    for stage in (REFERENCE_STAGE, HEAD_STAGE, EVALUATE):
        assert len(read(ask(tmp_path, request(specification(), stage))).content) == 0
    assert not (folder.path / "ledger.jsonl").exists()


def test_a_ledger_that_can_t_be_written_closes_the_gate(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    (folder.path / "ledger.jsonl").mkdir()
    assert_nothing_sent(ask(tmp_path, request(specification(), HEAD_STAGE)))


def test_a_full_disk_closes_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ready(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("client.ledger.os.fsync", full)
    assert_nothing_sent(ask(tmp_path, request(specification(), HEAD_STAGE)))
    assert "No space left" in (folder.path / "errors.log").read_text()


@pytest.mark.parametrize("damage", ["garbage\n", '{"previous": 1}\n', "\n", "\xff\n"])
def test_a_broken_ledger_closes_the_gate(tmp_path: Path, damage: str) -> None:
    folder = ready(tmp_path)
    ask(tmp_path, request(specification(), HEAD_STAGE))
    with (folder.path / "ledger.jsonl").open("ab") as file:
        file.write(damage.encode("latin-1"))
    assert_nothing_sent(ask(tmp_path, request(specification(), HEAD_STAGE)))


def test_a_cut_ledger_closes_the_gate(tmp_path: Path) -> None:
    folder = ready(tmp_path)
    ask(tmp_path, request(specification(), HEAD_STAGE))
    path = folder.path / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert_nothing_sent(ask(tmp_path, request(specification(), HEAD_STAGE)))


@pytest.mark.parametrize("missing", ["device.json", "clips.safetensors"])
@pytest.mark.parametrize("stage", [REFERENCE_STAGE, HEAD_STAGE, EVALUATE])
def test_a_device_that_is_not_set_up_sends_nothing(
    tmp_path: Path, missing: str, stage: str
) -> None:
    folder = ready(tmp_path)
    (folder.path / missing).unlink()
    assert_nothing_sent(ask(tmp_path, request(specification(), stage)))


def test_a_device_without_a_folder_sends_nothing(tmp_path: Path) -> None:
    assert_nothing_sent(ask(tmp_path, request(specification(), HEAD_STAGE)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "other",
    [
        specification("single-attention"),
        specification(dimension=6),
        HeadSpecification(kind="logistic", dimension=5, features="others"),
    ],
)
def test_a_request_for_another_head_is_refused(tmp_path: Path, other: HeadSpecification) -> None:
    ready(tmp_path)
    assert_nothing_sent(ask(tmp_path, request(other, HEAD_STAGE)))


@pytest.mark.parametrize("kind", ["train.other", "query", "query.ledger", "evaluate.x", "system"])
def test_an_unknown_action_gets_no_data(tmp_path: Path, kind: str) -> None:
    folder = ready(tmp_path)
    assert_no_data(ask(tmp_path, request(specification(), HEAD_STAGE), kind=kind), folder)


@pytest.mark.parametrize(
    ("stage", "kind"), [(HEAD_STAGE, "evaluate"), (REFERENCE_STAGE, "evaluate")]
)
def test_a_stage_under_another_message_type_sends_no_update(
    tmp_path: Path, stage: str, kind: str
) -> None:
    folder = ready(tmp_path)
    reply = read(ask(tmp_path, request(specification(), stage), kind=kind))
    assert reply.has_error() or len(reply.content) == 0
    assert list(folder.ledger.entries()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "everything"},
        {"round": -1},
        {"round": 1.0},
        {"round": 10**7},
        {"plan": "{}"},
        {"plan": '{"name": "../../x"}'},
        {"specification": "{}"},
    ],
    ids=str,
)
def test_a_request_with_other_numbers_is_refused(
    tmp_path: Path, change: dict[str, str | int | float]
) -> None:
    ready(tmp_path)
    message = message_to(request(specification(), HEAD_STAGE))
    message.content.config_records["config"].update(change)
    assert_nothing_sent(send(tmp_path, message))


@pytest.mark.parametrize("part", [ARRAYS, "config"])
def test_a_request_with_a_part_missing_is_refused(tmp_path: Path, part: str) -> None:
    ready(tmp_path)
    message = message_to(request(specification(), HEAD_STAGE))
    del message.content[part]
    assert_nothing_sent(send(tmp_path, message))


def test_a_head_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    ready(tmp_path)
    asked = request(specification(), HEAD_STAGE)
    arrays = {**asked.head.arrays, "user.bias": np.full(8, np.nan, np.float32)}
    head = type(asked.head)(specification(), arrays)
    assert_nothing_sent(ask(tmp_path, Request(asked.plan, HEAD_STAGE, 1, head)))


def test_a_training_that_diverges_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that is not finite can't be built, so not sent either."""
    folder = ready(tmp_path)

    def diverged(*_: object, **__: object) -> HeadUpdate:
        shapes = specification().shapes(HEAD_STAGE)
        arrays = {name: np.full(shape, np.inf, np.float32) for name, shape in shapes.items()}
        return HeadUpdate(
            specification=specification(), stage=HEAD_STAGE, round=1, clips=4, arrays=arrays
        )

    monkeypatch.setattr(client.app, "answer", diverged)
    assert_nothing_sent(ask(tmp_path, request(specification(), HEAD_STAGE)))
    assert "not finite" in (folder.path / "errors.log").read_text()


def update_of(stage: str = HEAD_STAGE, round: int = 3) -> HeadUpdate:
    shapes = specification().shapes(stage)
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    return HeadUpdate(
        specification=specification(), stage=stage, round=round, clips=4, arrays=arrays
    )


def expect(round: int = 3) -> Expected:
    return Expected(specification=specification(), stage=HEAD_STAGE, round=round)


def test_let_through_returns_the_update_and_keeps_an_entry(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    reply = wire_reply(content_of(update_of()))
    update = let_through(ledger, reply, expect(), {"federation": "f"}, 17)
    assert update is not None
    assert update.sha256 == update_of().sha256
    assert [(e["federation"], e["bytes"]) for e in ledger.entries()] == [("f", 17)]


def test_let_through_refuses_what_was_not_agreed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    reply = wire_reply(content_of(update_of()))
    with pytest.raises(WireRefused, match="another round"):
        let_through(ledger, reply, expect(round=4), {}, 1)
    with pytest.raises(WireRefused, match="empty reply was agreed"):
        let_through(ledger, reply, None, {}, 1)
    with pytest.raises(WireRefused, match="part"):
        let_through(ledger, WireReply({}, {}, 1), expect(), {}, 1)
    assert list(ledger.entries()) == []


def test_let_through_refuses_too_many_clips(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    reply = wire_reply(content_of(update_of()))
    numbers = {**reply.numbers, "num-examples": 0}
    with pytest.raises(NotAnUpdate, match="clips"):
        let_through(ledger, WireReply(reply.arrays, numbers, 0), expect(), {}, 1)
    assert list(ledger.entries()) == []


def test_let_through_does_not_return_what_the_ledger_could_not_take(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("not an entry\n")
    with pytest.raises(LedgerBroken):
        let_through(Ledger(path), wire_reply(content_of(update_of())), expect(), {}, 1)
