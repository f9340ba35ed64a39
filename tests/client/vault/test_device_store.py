"""A vault in the rounds of a fleet: whose clips help, and that nothing else reaches the wire."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as MessageProto

import client.app
from client.device.budget import set_exposure_limits
from client.device.place import write_device
from client.exposure import FLEET_LIMITS, NO_LIMITS
from client.gate import REFUSED_REASON
from client.rounds import answer
from client.store import DeviceFolder
from client.vault.device_store import VaultStore
from client.vault.keys import KeyFile, make_key_file
from client.vault.records import CONSENT_VERSION, StoredHead, User
from client.vault.vault import Vault, create_vault, unlock
from common.clips import ClipSet
from common.errors import WorkError
from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE
from common.messages import EVALUATE
from common.wire import ARRAYS, NUMBERS
from tests.client.fakes import any_head, made_up_clips, message_to, request, specification
from tests.client.vault.support import (
    a_clip,
    a_gallery,
    a_head,
    a_user,
    number_forms,
    some_arrays,
    text_forms,
)

SPEC = specification()
HEAD = any_head(SPEC)
numbers = itertools.count()


def set_up(vault: Vault) -> Vault:
    """A vault that takes part with its few clips."""
    set_exposure_limits(vault, NO_LIMITS)
    about = {"specification": SPEC.to_json()}
    vault.save_universal(StoredHead(arrays=dict(HEAD.arrays), about=about))
    return vault


def add_person(vault: Vault, user: User, clips: ClipSet) -> list[str]:
    vault.save_user(user)
    ids = []
    for index in range(len(clips)):
        clip = a_clip(user, next(numbers), label=int(clips.labels[index]), spec=SPEC.features)
        vault.add_clip(clip, dataclasses.replace(some_arrays(), features=clips.clip(index)))
        ids.append(clip.id)
    return ids


def test_a_vault_answers_as_a_folder_with_the_same_clips(vault: Vault, tmp_path: Path) -> None:
    set_up(vault)
    clips = made_up_clips(("Ada", "Ben"))
    users = {name: a_user(name) for name in ("Ada", "Ben")}
    for name, user in users.items():
        add_person(vault, user, clips.of_user(name))
    store = VaultStore(vault)
    found = store.clips()
    assert list(found.users) == [users[name].id for name in clips.users]
    assert np.array_equal(found.labels, clips.labels)
    assert np.array_equal(found.frames, clips.frames)
    assert found.names == tuple(clip.id for clip in reversed(vault.clips()))
    folder = DeviceFolder(tmp_path / "folder")
    folder.create(store.settings(), clips)
    for stage in (REFERENCE_STAGE, HEAD_STAGE):
        asked = request(SPEC, stage, head=HEAD)
        one, two = answer(store, asked, run=1), answer(folder, asked, run=1)
        assert one is not None
        assert two is not None
        assert one.payload == two.payload
    assert answer(store, request(SPEC, EVALUATE, head=HEAD), run=1) is None


def test_only_labelled_clips_of_willing_users_and_this_head_help(vault: Vault) -> None:
    set_up(vault)
    clips = made_up_clips()
    ids = add_person(vault, a_user("Ada"), clips)
    add_person(vault, a_user("Ben", federate=False), clips)
    add_person(vault, a_user("Old", version=CONSENT_VERSION - 1), clips)
    ada = vault.user("Ada")
    assert ada is not None
    vault.add_clip(a_clip(ada, next(numbers), spec=SPEC.features), some_arrays())
    vault.add_clip(a_clip(ada, next(numbers), label=1, spec="another backbone"), some_arrays())
    store = VaultStore(vault)
    assert list(store.clips().names) == ids
    assert store.contributors() == {ada.id}
    vault.undo_label(ids[0])
    assert list(store.clips().names) == ids[1:]


def test_a_vault_declines_what_its_budget_does_not_allow(vault: Vault) -> None:
    """16 clips: 7 mixtures are more than a quarter."""
    set_up(vault)
    set_exposure_limits(vault, dataclasses.replace(FLEET_LIMITS, bare_updates=True))
    add_person(vault, a_user("Ada"), made_up_clips())
    assert answer(VaultStore(vault), request(SPEC, HEAD_STAGE, head=HEAD), run=1) is None
    told = vault.setting("exposure_declined")
    assert told["about"] == "round 1"
    assert told["text"].startswith("after it 7 exact mixtures of this device's 16 clips")


@pytest.mark.parametrize("stage", [REFERENCE_STAGE, HEAD_STAGE])
def test_a_vault_sends_no_bare_update_unless_its_owner_allows_it(vault: Vault, stage: str) -> None:
    set_up(vault)
    set_exposure_limits(vault, dataclasses.replace(NO_LIMITS, bare_updates=False))
    add_person(vault, a_user("Ada"), made_up_clips())
    asked = request(SPEC, stage, head=HEAD)
    assert answer(VaultStore(vault), asked, run=1) is None
    told = vault.setting("exposure_declined")["text"]
    assert "in secure sums only" in told
    assert "--bare-updates allow" in told


@pytest.mark.parametrize("why", ["paused", "nobody agreed", "no clip"])
def test_an_empty_reply_where_nobody_takes_part(vault: Vault, why: str) -> None:
    set_up(vault)
    if why != "no clip":
        add_person(vault, a_user("Ada", federate=why == "paused"), made_up_clips())
    vault.set_setting("paused", why == "paused")
    store = VaultStore(vault)
    assert (len(store.clips()), store.clips().dimension) == (0, SPEC.dimension)
    assert store.contributors() == frozenset()
    for stage in (REFERENCE_STAGE, HEAD_STAGE):
        assert answer(store, request(SPEC, stage, head=HEAD), run=1) is None
    vault.set_setting("paused", False)
    assert (len(store.clips()) > 0) == (why == "paused")


def test_a_device_without_a_universal_head_says_what_to_do(vault: Vault) -> None:
    with pytest.raises(WorkError, match="mien device head FILE"):
        VaultStore(vault).settings()
    vault.save_universal(a_head())
    with pytest.raises(WorkError, match="does not say what it is made for"):
        VaultStore(vault).clips()


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A device as `mien device init --key-file` leaves it, with a head and one user."""
    folder = tmp_path / "device"
    make_key_file(tmp_path / "key")
    with create_vault(folder, KeyFile(tmp_path / "key")) as vault:
        set_up(vault)
        ada = a_user("Ada-Zyzzyva-Örk")
        add_person(vault, ada, made_up_clips())
        vault.add_gallery(a_gallery(ada))
        vault.save_personal(ada.id, a_head())
    write_device(folder, {"key": {"source": "file", "path": str(tmp_path / "key")}})
    return folder


def opened(folder: Path) -> Vault:
    return Vault(folder, unlock(folder, KeyFile(folder.parent / "key")))


def deployed(folder: Path) -> Context:
    return Context(1, 7, {"vault-dir": str(folder)}, RecordDict(), {})


def asked_of(folder: Path, stage: str = HEAD_STAGE) -> Message:
    message = message_to(request(SPEC, stage, head=HEAD))
    message.metadata.__dict__["_message_id"] = "asked"
    message = message_from_proto(
        MessageProto.FromString(message_to_proto(message).SerializeToString())
    )
    return client.app.app(message, deployed(folder))


def wire_of(reply: Message) -> bytes:
    reply.metadata.__dict__["_message_id"] = "answered"
    return bytes(message_to_proto(reply).SerializeToString())


def test_the_deployed_app_answers_from_the_vault_and_keeps_the_ledger(device: Path) -> None:
    reply = asked_of(device)
    assert set(reply.content) == {ARRAYS, NUMBERS}
    with opened(device) as vault:
        (entry,) = vault.ledger.entries()
        assert entry["clips"] == reply.content.metric_records[NUMBERS]["num-examples"] == 16
        assert vault.errors() == ()


def test_nothing_of_a_vault_but_the_update_is_on_the_wire(device: Path) -> None:
    wire = wire_of(asked_of(device))
    with opened(device) as vault:
        (ada,) = vault.users()
        told = [ada.id, ada.name, vault.id]
        for clip in vault.clips():
            told += [clip.id, clip.name, clip.digest]
        values = [float(vault.arrays(clip.id).features[0, 0]) for clip in vault.clips()]
        values.append(float(vault.gallery("identity/1")[0].embeddings[0, 0]))
        head = vault.personal(ada.id)
        assert head is not None
        values.append(float(head.arrays["weight"][0, 0]))
    assert [text for text in told if any(form in wire for form in text_forms(text))] == []
    assert [x for x in values if any(form in wire for form in number_forms(x))] == []


@pytest.mark.parametrize(
    "stop",
    [
        lambda vault: vault.set_setting("paused", True),
        lambda vault: vault.forget(vault.users()[0].id),
        lambda vault: vault.save_user(
            dataclasses.replace(vault.users()[0], consent=a_user(federate=False).consent)
        ),
    ],
)
def test_who_withdraws_during_a_round_is_heard(
    device: Path, monkeypatch: pytest.MonkeyPatch, stop: Callable[[Vault], object]
) -> None:
    def answered(store, asked, *, run):
        update = answer(store, asked, run=run)
        assert update is not None
        with opened(device) as vault:
            stop(vault)
        return update

    monkeypatch.setattr(client.app, "answer", answered)
    reply = asked_of(device)
    assert reply.has_error()
    assert reply.error.reason == REFUSED_REASON
    with opened(device) as vault:
        assert list(vault.ledger.entries()) == []
        assert "withdrew" in vault.errors()[-1][1]


@pytest.mark.parametrize("stage", [HEAD_STAGE, EVALUATE])
def test_a_paused_device_sends_an_empty_reply(device: Path, stage: str) -> None:
    with opened(device) as vault:
        vault.set_setting("paused", True)
    reply = asked_of(device, stage)
    assert not reply.has_error()
    assert len(reply.content) == 0


@pytest.mark.parametrize("missing", ["key", "device/device.json", "device/vault.db"])
def test_a_vault_that_does_not_open_tells_the_server_one_fixed_sentence(
    device: Path, missing: str
) -> None:
    (device.parent / missing).unlink()
    reply = asked_of(device)
    assert reply.has_error()
    assert reply.error.reason == REFUSED_REASON
    assert str(device).encode() not in wire_of(reply)
