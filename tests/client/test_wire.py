"""What a device's reply holds, on the bytes: nothing of planted features, names, heads or errors.

The mutants at the end show that the test can fail: the same handler without the gate sends the
planted values, and with it one fixed sentence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, Error, Message, RecordDict
from flwr.clientapp import ClientApp

import client.app
from client.flower_adapter import REFUSED_CODE, content_of
from client.gate import REFUSED_REASON
from client.personalisation.heads import PersonalHead
from client.store import DeviceFolder, StoredPersonalHead
from common.clips import ClipSet
from common.heads.specification import HEAD_STAGE, KINDS, REFERENCE_STAGE
from common.heads.standardise import UserStatistics
from common.messages import EVALUATE
from common.update import HeadUpdate
from common.wire import ARRAYS, NUMBERS, Expected, read_update, wire_reply
from tests.client import markers
from tests.client.fakes import (
    DIMENSION,
    any_head,
    ask,
    device,
    made_up_clips,
    part_of,
    read,
    request,
    specification,
)
from tests.client.mutants import MUTANTS, Mutation, extra_record

REFERENCE_AND_HEAD = (REFERENCE_STAGE, HEAD_STAGE)


def planted_clips(where: str) -> ClipSet:
    """Clips of a planted user with the planted number in a column, a clip, or everywhere."""
    made = made_up_clips([markers.USER])
    frames = made.frames.copy()
    if where == "column":
        frames[:, 2] = markers.NUMBER
    elif where == "clip":
        frames[: made.lengths[0]] = markers.NUMBER
    else:
        frames[:] = markers.NUMBER
    names = tuple(f"{markers.CLIP}-{name}" for name in made.names)
    return ClipSet(names, made.users, made.labels, frames, made.lengths)


def planted_device(root: Path, kind: str, where: str = "column") -> DeviceFolder:
    clips = planted_clips(where)
    folder = device(
        root,
        clips,
        specification(kind),
        parts=(part_of(clips, markers.USER),),
        own_clips=(1,),
        draws=2,
    )
    classes = specification(kind).classes
    head = PersonalHead(
        np.full((classes, DIMENSION), markers.PERSONAL), np.full(classes, markers.PERSONAL), 1.0
    )
    statistics = UserStatistics(
        np.full(DIMENSION, markers.NUMBER), np.full(DIMENSION, markers.NUMBER), 0.5
    )
    number = specification(kind).number
    folder.save_personal(StoredPersonalHead(markers.USER, head, statistics, 1, 1, number))
    return folder


def planted_arrays() -> list[tuple[str, bytes]]:
    values = np.full(3, markers.NUMBER)
    return [
        ("float32", values.astype("<f4").tobytes()),
        ("float32 big-endian", values.astype(">f4").tobytes()),
        ("float64", values.astype("<f8").tobytes()),
        ("float64 big-endian", values.astype(">f8").tobytes()),
        ("roots", np.sqrt(values.astype("<f4")).tobytes()),
        ("JSON", str(values.tolist()).encode()),
        ("UTF-8", f"of {markers.USER}".encode()),
        ("UTF-16", f"of {markers.USER}".encode("utf-16")),
        ("personal head", np.full(2, markers.PERSONAL, dtype="<f4").tobytes()),
    ]


@pytest.mark.parametrize(("name", "wire"), planted_arrays(), ids=lambda value: str(value)[:20])
def test_the_search_finds_planted_values(name: str, wire: bytes) -> None:
    assert markers.found(b"\x08\x01 some reply " + wire + b" its end"), name


@pytest.mark.parametrize("where", ["column", "clip", "all"])
@pytest.mark.parametrize("stage", REFERENCE_AND_HEAD)
@pytest.mark.parametrize("kind", KINDS)
def test_an_update_holds_nothing_planted(tmp_path: Path, kind: str, stage: str, where: str) -> None:
    folder = planted_device(tmp_path, kind, where)
    wire = ask(tmp_path, request(specification(kind), stage))
    reply = read(wire)
    assert reply.has_content(), (folder.path / "errors.log").read_text()
    assert set(reply.content) == {ARRAYS, NUMBERS}
    assert markers.found(wire) == []
    assert len(list(folder.ledger.entries())) == 1


@pytest.mark.parametrize("where", ["column", "all"])
def test_without_rounding_a_reference_would_hold_what_is_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The search sees through the real handler: a constant feature's centre is its value."""
    planted_device(tmp_path, "logistic", where)
    monkeypatch.setattr("client.training.coarse", lambda reference: reference)
    assert markers.found(ask(tmp_path, request(specification(), REFERENCE_STAGE)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_update_after_the_reference_holds_nothing_planted(tmp_path: Path, kind: str) -> None:
    planted_device(tmp_path, kind, "clip")
    asked = request(specification(kind), HEAD_STAGE, head=any_head(specification(kind)), round=7)
    wire = ask(tmp_path, asked)
    expected = Expected(specification=specification(kind), stage=HEAD_STAGE, round=7)
    update = read_update(wire_reply(read(wire).content), expected)
    assert update.clips == len(planted_clips("clip"))
    assert markers.found(wire) == []


@pytest.mark.parametrize("where", ["column", "clip", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_is_answered_with_nothing(tmp_path: Path, kind: str, where: str) -> None:
    folder = planted_device(tmp_path, kind, where)
    head = any_head(specification(kind))
    wire = ask(tmp_path, request(specification(kind), EVALUATE, head=head, round=4))
    reply = read(wire)
    assert reply.has_content()
    assert len(reply.content) == 0
    assert markers.found(wire) == []
    assert folder.load_evaluation("fold-1")[0]["user"] == markers.USER
    assert list(folder.ledger.entries()) == []


@pytest.mark.parametrize("stage", [*REFERENCE_AND_HEAD, EVALUATE])
def test_an_error_s_text_stays_on_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    folder = planted_device(tmp_path, "logistic")
    monkeypatch.setattr(client.app, "answer", _fail)
    wire = ask(tmp_path, request(specification(), stage))
    assert_refused(wire)
    assert markers.SECRET in (folder.path / "errors.log").read_text()
    monkeypatch.setattr(client.app, "app", ungated())
    assert markers.found(ask(tmp_path, request(specification(), stage)))


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError(f"{markers.SECRET} at {markers.NUMBER} of {markers.USER}")


def assert_refused(wire: bytes) -> None:
    reply = read(wire)
    assert reply.has_error()
    assert (reply.error.code, reply.error.reason) == (REFUSED_CODE, REFUSED_REASON)
    assert markers.found(wire) == []


def ungated() -> ClientApp:
    """The device's app as it would be without its gate."""
    app = ClientApp()
    app.train()(client.app.train)
    app.evaluate()(client.app.evaluate)
    return app


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
@pytest.mark.parametrize("stage", REFERENCE_AND_HEAD)
def test_the_gate_refuses_a_handler_that_sends_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: Mutation, stage: str
) -> None:
    folder = planted_device(tmp_path, "logistic")
    monkeypatch.setattr(client.app, "content_of", lambda update: mutant(content_of(update)))
    asked = request(specification(), stage)
    assert_refused(ask(tmp_path, asked))
    assert list(folder.ledger.entries()) == []
    monkeypatch.setattr(client.app, "app", ungated())
    assert markers.found(ask(tmp_path, asked)), "the mutant sends nothing that was planted"


def test_the_gate_refuses_anything_in_answer_to_an_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = planted_device(tmp_path, "logistic")
    monkeypatch.setattr(client.app, "content_of", lambda _: extra_record(RecordDict()))
    asked = request(specification(), EVALUATE)
    assert_refused(ask(tmp_path, asked))
    assert list(folder.ledger.entries()) == []
    monkeypatch.setattr(client.app, "app", ungated())
    assert markers.found(ask(tmp_path, asked))


@pytest.mark.parametrize("stage", [HEAD_STAGE, EVALUATE])
def test_a_true_update_is_refused_in_answer_to_another_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    planted_device(tmp_path, "logistic")
    spec = specification()
    shapes = spec.shapes(REFERENCE_STAGE)
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    update = HeadUpdate(specification=spec, stage=REFERENCE_STAGE, round=0, clips=4, arrays=arrays)
    monkeypatch.setattr(client.app, "content_of", lambda _: content_of(update))
    assert_refused(ask(tmp_path, request(spec, stage)))


def test_an_error_reply_of_the_handler_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted_device(tmp_path, "logistic")
    gated, open_ = ClientApp(mods=[client.app.egress_gate]), ClientApp()
    for app in (gated, open_):
        app.train()(lambda message, _: Message(Error(7, markers.SECRET), reply_to=message))
    asked = request(specification(), HEAD_STAGE)
    monkeypatch.setattr(client.app, "app", open_)
    assert markers.found(ask(tmp_path, asked))
    monkeypatch.setattr(client.app, "app", gated)
    assert_refused(ask(tmp_path, asked))


def test_a_reply_s_metadata_are_the_gate_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted_device(tmp_path, "logistic")

    def handler(message: Message, context: object) -> Message:
        reply = client.app.train(message, context)  # type: ignore[arg-type]
        reply.metadata.__dict__["_group_id"] = markers.USER
        reply.metadata.__dict__["_ttl"] = markers.NUMBER
        return reply

    gated, open_ = ClientApp(mods=[client.app.egress_gate]), ClientApp()
    for app in (gated, open_):
        app.train()(handler)
    asked = request(specification(), HEAD_STAGE)
    monkeypatch.setattr(client.app, "app", open_)
    assert markers.found(ask(tmp_path, asked))
    monkeypatch.setattr(client.app, "app", gated)
    wire = ask(tmp_path, asked)
    assert read(wire).has_content()
    assert markers.found(wire) == []


def test_the_order_of_arrays_carries_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted_device(tmp_path, "logistic")

    def reversed_content(update: HeadUpdate | None) -> RecordDict:
        content = content_of(update)
        record = content.array_records[ARRAYS]
        content[ARRAYS] = ArrayRecord(dict(reversed(list(record.items()))))
        return content

    monkeypatch.setattr(client.app, "content_of", reversed_content)
    reply = read(ask(tmp_path, request(specification(), HEAD_STAGE)))
    assert list(reply.content.array_records[ARRAYS]) == list(specification().shapes(HEAD_STAGE))
