"""What needs no model: users, inbox, corrections, consent, pause, ledger, status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.device import work
from client.device.device import Device
from client.device.due import PERSONALISE_AFTER, set_personalise_after
from client.device.fitting import personalise
from client.vault.vault import Vault
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from tests.client.device.conftest import Play
from tests.client.device.fakes import digest

ENTRY: dict[str, Any] = {
    "federation": "f",
    "run": 7,
    "node": 9,
    "stage": "head",
    "round": 2,
    "clips": 5,
    "arrays": [
        {"name": "user.bias", "shape": [8], "dtype": "float32", "bytes": 32, "sha256": "ab"}
    ],
    "bytes": 300,
    "sha256": "cd",
    "clip_norm": None,
    "noise": None,
}


def test_an_empty_device(device: Device) -> None:
    assert device.users() == device.inbox() == device.ledger() == []
    assert device.clip("0" * 32) is None
    status = device.status()
    assert (status["users"], status["clips"], status["releases"]) == (0, 0, 0)
    assert (status["head"], status["features"], status["due"]) == ("backbone", None, [])


def test_users_are_counted_and_said_which_head_and_why(device: Device, play: Play) -> None:
    play.enrol("Ada")
    play.enrol("Bob")
    play.corrected(["happy", "calm"])
    play.recognise(play.clip("Ada", "angry", 9))
    ada, bob = device.users()
    assert (ada["name"], ada["clips"], ada["labelled"], ada["corrected"]) == ("Ada", 3, 2, 1)
    assert (ada["waiting"], ada["new_corrections"], ada["due"]) == (1, 2, False)
    assert ada["head"]["kind"] == "backbone"
    assert "nothing was learnt" in ada["head"]["reason"]
    assert (bob["name"], bob["clips"], bob["other_backbone"]) == ("Bob", 0, 0)
    assert device.status()["waiting"] == 1


def test_the_inbox_puts_the_least_sure_first_and_labelled_last(device: Device, play: Play) -> None:
    user = play.enrol("Ada")
    ids = [play.recognise(play.clip("Ada", "happy", take)).clip for take in range(4)]
    for id, share in zip(ids, (0.9, 0.3, 0.6, 0.5), strict=True):
        clip = device.vault.clip(id)
        assert clip is not None
        shares = {name: (share if name == "happy" else (1 - share) / 7) for name in EXPRESSIONS}
        device.vault.set_answer(id, {**clip.answer, "probabilities": shares}, 2)
    device.correct(ids[3], "sad")
    rows = device.inbox()
    assert [row["id"] for row in rows] == [ids[1], ids[2], ids[0], ids[3]]
    assert list(rows[0]["probabilities"]) == list(EXPRESSIONS)
    assert device.inbox(limit=1)[0]["id"] == ids[1]
    assert len(device.inbox(user="Ada")) == 4
    assert device.inbox(limit=0) == []
    assert user
    with pytest.raises(UsageError, match="nobody is enrolled here as 'Eve'"):
        device.inbox(user="Eve")


def test_correcting_says_what_was_answered_and_counts(device: Device, play: Play) -> None:
    play.enrol("Ada")
    id = play.recognise(play.clip("Ada", "happy")).clip
    done = device.correct(id, "Sad ")
    assert (done["clip"], done["user"], done["expression"], done["was"]) == (
        id,
        "Ada",
        "sad",
        "happy",
    )
    assert (done["corrections"], done["confirmed"], done["due"]) == (1, False, False)
    again = device.correct(id, "happy")
    assert (again["corrections"], again["confirmed"]) == (1, True)
    row = device.clip(id)
    assert row is not None
    assert (row["label"], row["expression"], row["corrected"]) == ("happy", "happy", False)


def test_undo_gives_back_what_was_said_before(device: Device, play: Play) -> None:
    play.enrol("Ada")
    id = play.recognise(play.clip("Ada")).clip
    for name in ("sad", "calm"):
        device.correct(id, name)
    assert device.undo(id)["expression"] == "sad"
    last = device.undo(id)
    assert (last["expression"], last["corrections"]) == (None, 0)
    with pytest.raises(UsageError, match="there is no correction to take back"):
        device.undo(id)


def test_discarding_erases_a_clip(device: Device, play: Play) -> None:
    play.enrol("Ada")
    id = play.recognise(play.clip("Ada")).clip
    assert device.discard(id)["user"] == "Ada"
    assert device.clip(id) is None


def test_nothing_learnt_from_a_discarded_clip_is_left(
    device: Device, vault: Vault, play: Play
) -> None:
    user = play.enrol("Ada")
    ids = play.corrected(["happy", "sad", "angry", "calm"])
    personalise(vault, user)
    assert vault.personal(user) is not None
    device.discard(ids[0])
    assert vault.personal(user) is None
    assert vault.remains([ids[0].encode()]) == 0
    assert ids[0] not in json.dumps(device.export("Ada"))
    assert device.status()["due"] == ["Ada"]


def test_personalising_is_due_after_some_corrections(device: Device, play: Play) -> None:
    play.enrol("Ada")
    names = ["happy", "sad", "angry", "calm"][:PERSONALISE_AFTER]
    ids = play.corrected(names)
    assert device.status()["due"] == ["Ada"]
    device.undo(ids[0])
    assert device.status()["due"] == []
    set_personalise_after(device.vault, 1)
    assert device.status()["due"] == ["Ada"]
    with pytest.raises(UsageError, match="name at least 1"):
        set_personalise_after(device.vault, 0)


def test_clips_are_found_by_id_prefix_and_name(device: Device, play: Play) -> None:
    play.enrol("Ada")
    path = play.clip("Ada")
    id = play.recognise(path).clip
    for text in (id, id[:4], path.name):
        assert device.correct(text, "sad")["clip"] == id
    for text in (id[:3], id.upper(), "", "nobody.mp4", "\ud800", "%", "' OR 1=1 --"):
        with pytest.raises(UsageError, match="no clip here is called"):
            device.correct(text, "sad")


def test_two_clips_of_one_name_must_be_named_by_id(device: Device, play: Play) -> None:
    play.enrol("Ada")
    found = []
    for take in (1, 2):
        path = play.clip("Ada", take=take)
        found.append(
            work.recognise(
                device.vault, play.recogniser, path, name="same.mp4", digest=digest(path)
            ).clip
        )
    with pytest.raises(
        UsageError, match=r"2 clips are called 'same\.mp4'; name one by its id"
    ) as told:
        device.correct("same.mp4", "sad")
    assert all(id in str(told.value) for id in found)


@pytest.mark.parametrize("name", ["", "joy", "happy sad", "\ud800", "8"])
def test_an_unknown_expression_is_refused_with_the_known_ones(device: Device, name: str) -> None:
    with pytest.raises(UsageError, match="is none of the expressions: choose one of neutral, calm"):
        device.correct("0" * 32, name)


def test_consent_is_changed(device: Device, play: Play) -> None:
    play.enrol("Ada")
    before = device.users()[0]["consent"]
    row = device.consent("Ada", federate=False)
    assert row["consent"]["federate"] is False
    assert row["consent"]["given"] > before["given"]
    assert device.status()["taking_part"] == []
    assert len(device.vault.gallery("dlib-resnet/1")) == 1
    with pytest.raises(UsageError, match="nobody is enrolled"):
        device.consent("Eve", federate=True)


def test_pausing_lasts(device: Device) -> None:
    assert device.paused is False
    device.pause(True)
    assert Device(device.vault).paused is True
    device.pause(False)
    assert device.paused is False


def test_the_ledger_shows_what_left(device: Device) -> None:
    device.vault.ledger.append(ENTRY)
    (row,) = device.ledger()
    assert (row["federation"], row["round"], row["stage"], row["bytes"]) == ("f", 2, "head", 300)
    assert row["arrays"] == [{"name": "user.bias", "shape": [8], "bytes": 32, "sha256": "ab"}]
    assert (row["noise"], row["clip_norm"], row["clips"]) == (None, None, 5)
    assert device.status()["releases"] == 1


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(clip=st.text(), expression=st.text(), name=st.text())
def test_any_text_gets_one_sentence(device: Device, clip: str, expression: str, name: str) -> None:
    for wrong in (
        lambda: device.correct(clip, expression),
        lambda: device.correct(clip, "sad"),
        lambda: device.undo(clip),
        lambda: device.discard(clip),
        lambda: device.forget(name),
        lambda: device.consent(name, federate=True),
        lambda: device.inbox(user=name),
        lambda: device.export(name),
    ):
        with pytest.raises(UsageError) as told:
            wrong()
        assert 0 < len(str(told.value)) < 600
