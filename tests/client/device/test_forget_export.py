"""Forgetting erases all of a user and checks it; the export shows all of a user."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest

from client.device.device import Device
from client.device.fitting import personalise
from client.device.texts import CONSENT_TEXT, FIRST_START
from client.vault.vault import VAULT_FILE, Vault, unlock
from common.errors import WorkError
from tests.client.device.conftest import Play
from tests.client.device.fakes import PASSPHRASE, face_of, features_of
from tests.client.device.test_device import ENTRY

FOUR = ["happy", "calm", "angry", "surprised"]


def remains(vault: Vault, ids: list[str]) -> int:
    return vault.remains(id.encode() for id in ids)


def test_nothing_of_a_user_is_left(device: Device, vault: Vault, play: Play) -> None:
    ada, bob = play.enrol("Ada"), play.enrol("Bob")
    play.corrected(FOUR * 4, wrong=lambda take: take % 2 == 0)
    play.corrected(["sad"], person="Bob")
    personalise(vault, ada)
    ids = [ada, *(clip.id for clip in vault.clips(user=ada))]
    assert remains(vault, ids) > 0
    done = device.forget("Ada")
    assert (done["user"], done["left"], done["releases"]) == ("Ada", 0, 0)
    erased = {table: count for table, count in done["erased"].items() if count}
    assert erased == {"clips": 16, "gallery": 1, "heads": 1, "users": 1}
    assert remains(vault, ids) == 0
    assert [row["name"] for row in device.users()] == ["Bob"]
    assert [clip.user for clip in vault.clips()] == [bob]
    assert vault.personal(ada) is None
    assert play.recognise(play.clip("Ada", "calm", 400)).user == "unknown"


def test_a_forgotten_name_is_free(device: Device, play: Play) -> None:
    first = play.enrol("Ada")
    device.forget("Ada")
    assert play.enrol("Ada") != first


def test_what_was_sent_is_said(device: Device, play: Play) -> None:
    play.enrol("Ada")
    device.vault.ledger.append(ENTRY)
    done = device.forget("Ada")
    assert done["releases"] == 1
    assert "can't be called back" in done["note"]


def test_remains_are_an_error(device: Device, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    play.enrol("Ada")
    monkeypatch.setattr(Vault, "remains", lambda vault, markers: 3)
    with pytest.raises(WorkError, match="Ada was erased, but old encrypted pages stay"):
        device.forget("Ada")


def test_a_reader_elsewhere_does_not_hide_remains(vault: Vault, play: Play) -> None:
    """While another process reads, old pages stay: said, not silently accepted."""
    user = play.enrol("Ada")
    quick = Vault(vault.folder, unlock(vault.folder, PASSPHRASE), patience=0.1)
    reader = sqlite3.connect(vault.folder / VAULT_FILE, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM users").fetchall()
    try:
        with pytest.raises(WorkError, match=r"Ada was erased, but .* end that program"):
            Device(quick).forget("Ada")
    finally:
        reader.close()
        quick.close()
    assert vault.user_by_id(user) is None
    assert remains(vault, [user]) == 1
    Vault(vault.folder, unlock(vault.folder, PASSPHRASE)).close()
    assert remains(vault, [user]) == 0


def test_the_export_holds_all_of_a_user(device: Device, vault: Vault, play: Play) -> None:
    ada = play.enrol("Ada")
    play.enrol("Bob")
    play.corrected(FOUR * 4, wrong=lambda take: take % 2 == 0)
    play.corrected(["sad"], person="Bob")
    personalise(vault, ada)
    vault.ledger.append(ENTRY)
    told = device.export("Ada")
    text = json.dumps(told)
    assert "Bob" not in text
    (user,) = told["users"]
    assert (user["name"], user["clips"], len(user["own_clips"])) == ("Ada", 16, 16)
    assert user["face"][0]["embeddings"]["shape"] == [4, 128]
    clip = user["own_clips"][0]
    assert (clip["label"], clip["features"]["shape"]) == ("surprised", [5, 12])
    assert len(clip["digest"]) == 64
    assert user["personal_head"]["arrays"]["weight"]["shape"] == [8, 12]
    assert len(user["personal_head"]["about"]["labels"]) == 16
    assert told["left_this_device"][0]["round"] == 2
    assert [user["name"] for user in device.export()["users"]] == ["Ada", "Bob"]


def test_the_full_export_holds_every_number(device: Device, play: Play) -> None:
    play.enrol("Ada")
    play.corrected(["happy"])
    (user,) = json.loads(json.dumps(device.export("Ada", full=True)))["users"]
    face = np.array(user["face"][0]["embeddings"], dtype=np.float32)
    assert np.array_equal(face, face_of("Ada", 900))
    features = np.array(user["own_clips"][0]["features"], dtype=np.float32)
    assert np.array_equal(features, features_of("Ada", 2, 0))


@pytest.mark.parametrize("text", [FIRST_START, CONSENT_TEXT])
def test_the_texts_say_what_must_be_said(text: str) -> None:
    plain = " ".join(text.split())
    for said in (
        "embeddings",
        "features",
        "labels",
        "your personal head",
        "encrypted",
        "unless you agree to help AND this device was set up with a fleet",
        "can't be called back: - an update that was sent",
        "leaves no trace" if text is FIRST_START else "without the second",
        "mien forget NAME",
    ):
        assert said in plain
    assert max(map(len, text.splitlines())) <= 100
