"""Releases on a device: forward along one chain, whole or not at all, and said why not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

import client.adoption
import client.app
from client.adoption import adopt, previous_head, use_previous
from client.device.due import base_digest, is_due, keep_feature_spec
from client.gate import REFUSED_REASON
from client.membership import adopted, fleet_specification, refusals
from client.vault.device_store import VaultStore
from client.vault.records import ClipArrays, StoredHead
from client.vault.vault import Vault
from common.backbones.records import MINI_XCEPTION
from common.errors import UsageError, WorkError
from common.heads.specification import HeadSpecification
from common.releases import link_of, sign_release
from common.releases.errors import (
    Fork,
    Gap,
    NotARelease,
    ReleaseRefused,
    RollBack,
    WrongBackbone,
    WrongFleet,
    WrongKey,
    WrongSpecification,
)
from common.releases.signing import read_manifest
from tests.client.fleet_device import (
    FEATURES,
    KEY,
    OTHER_KEY,
    SPECIFICATION,
    chain,
    draft,
    enrol,
    make_device,
    opened,
)
from tests.client.vault.support import a_clip, a_user

CHAIN = chain(6)
OTHER = HeadSpecification(kind="logistic", dimension=1280, features="enet-b0/1/2")


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with opened(make_device(tmp_path)) as device:
        enrol(device)
        yield device


def value_of(head: StoredHead | None) -> float:
    """All numbers of a made-up release's head are the same."""
    assert head is not None
    (found,) = {float(value) for array in head.arrays.values() for value in np.unique(array)}
    return found


def image(vault: Vault) -> tuple[object, ...]:
    """All that a release may change."""
    head, before = vault.universal(), previous_head(vault)
    told = [None if each is None else (value_of(each), dict(each.about)) for each in (head, before)]
    return (adopted(vault), *told)


def after(sequence: int) -> object:
    return read_manifest(CHAIN[sequence - 1], KEY.public_key())


def test_releases_become_the_head_one_after_the_other(vault: Vault) -> None:
    for number, release in enumerate(CHAIN[:3], start=1):
        assert adopt(vault, release) == client.adoption.Outcome(number, changed=True)
        head = vault.universal()
        assert value_of(head) == number
        assert head is not None
        assert (head.about["release"], head.about["round"]) == (number, number)
    assert value_of(previous_head(vault)) == 2
    assert refusals(vault) == ()


def test_the_same_again_changes_nothing(vault: Vault) -> None:
    adopt(vault, CHAIN[0])
    vault.save_universal(replace_value(9.0))
    before = image(vault)
    assert adopt(vault, CHAIN[0]) == client.adoption.Outcome(1, changed=False)
    assert image(vault) == before


def replace_value(value: float) -> StoredHead:
    arrays = {n: np.full(s, value, np.float32) for n, s in SPECIFICATION.all_shapes().items()}
    return StoredHead(arrays=arrays, about={"specification": SPECIFICATION.to_json()})


def test_a_person_can_go_back_to_the_head_before_and_the_next_release_still_comes(
    vault: Vault,
) -> None:
    with pytest.raises(UsageError, match="no universal head from before"):
        use_previous(vault)
    adopt(vault, CHAIN[0])
    adopt(vault, CHAIN[1])
    use_previous(vault)
    assert (value_of(vault.universal()), value_of(previous_head(vault))) == (1, 2)
    adopt(vault, CHAIN[2])
    assert value_of(vault.universal()) == 3


def test_links_close_a_gap_whatever_older_ones_come_with_them(vault: Vault) -> None:
    adopt(vault, CHAIN[1])
    with pytest.raises(Gap):
        adopt(vault, CHAIN[5])
    links = [link_of(release) for release in CHAIN[:5]]
    assert adopt(vault, CHAIN[5], links).sequence == 6
    assert [each["about"] for each in refusals(vault)] == ["release 6"]


BAD: dict[str, tuple[bytes, type[ReleaseRefused]]] = {
    "roll-back": (CHAIN[0], RollBack),
    "fork": (chain(2, start=50.0)[1], Fork),
    "wrong key": (sign_release(draft(3.0), after(2), OTHER_KEY), WrongKey),  # type: ignore[arg-type]
    "wrong fleet": (sign_release(draft(3.0, fleet="b"), after(2), KEY), WrongFleet),  # type: ignore[arg-type]
    "wrong backbone": (sign_release(draft(3.0, OTHER), after(2), KEY), WrongBackbone),  # type: ignore[arg-type]
    "wrong head": (
        sign_release(draft(3.0, replace(SPECIFICATION, pooling="mean")), after(2), KEY),  # type: ignore[arg-type]
        WrongSpecification,
    ),
    "junk": (b"MIENREL1 and then nothing", NotARelease),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_changes_nothing_and_is_noted(vault: Vault, name: str) -> None:
    adopt(vault, CHAIN[0])
    adopt(vault, CHAIN[1])
    before = image(vault)
    release, reason = BAD[name]
    with pytest.raises(reason) as told:
        adopt(vault, release)
    assert image(vault) == before
    (noted,) = refusals(vault)
    assert noted["text"] == str(told.value)
    assert noted["about"].startswith("release" if name != "junk" else "a release")


def test_the_first_release_must_be_for_this_devices_features(vault: Vault) -> None:
    with pytest.raises(WrongBackbone, match="enet-b0"):
        adopt(vault, sign_release(draft(1.0, OTHER), None, KEY))
    assert image(vault) == (None, None, None)


def test_the_first_release_is_from_the_floor_on(vault: Vault) -> None:
    enrol(vault, floor=3)
    with pytest.raises(RollBack):
        adopt(vault, CHAIN[1])
    assert adopt(vault, CHAIN[3]).sequence == 4


def test_what_fails_on_the_way_leaves_head_and_state_together(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(vault, CHAIN[0])
    before = image(vault)

    def fail(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(client.adoption, "keep_adopted", fail)
    with pytest.raises(OSError, match="no room"):
        adopt(vault, CHAIN[1])
    assert image(vault) == before


def test_a_device_in_no_fleet_adopts_nothing(tmp_path: Path) -> None:
    with opened(make_device(tmp_path)) as vault:
        with pytest.raises(UsageError, match="in no fleet"):
            adopt(vault, CHAIN[0])
        assert fleet_specification(vault, SPECIFICATION.to_json()) is None


def test_personal_heads_are_due_again(vault: Vault) -> None:
    user = a_user()
    adopt(vault, CHAIN[0])
    keep_feature_spec(vault, FEATURES)
    vault.save_user(user)
    clip = a_clip(user, spec=FEATURES)
    vault.add_clip(clip, ClipArrays(features=np.ones((2, MINI_XCEPTION.dimension), np.float32)))
    vault.label(clip.id, 3)
    base = base_digest(vault.universal())
    about = {"features": FEATURES, "base": base, "labels": {clip.id: 3}}
    vault.save_personal(user.id, StoredHead(arrays={}, about=about))
    assert not is_due(vault, user.id)
    adopt(vault, CHAIN[1])
    assert is_due(vault, user.id)


def test_a_member_takes_part_before_the_first_release_for_its_features_only(vault: Vault) -> None:
    assert VaultStore(vault, SPECIFICATION.to_json()).settings().specification == SPECIFICATION
    for asked in (OTHER.to_json(), "no specification", ""):
        with pytest.raises(WorkError, match=r"asks for|can.t be read"):
            VaultStore(vault, asked).settings()


def test_the_first_release_settles_the_head(vault: Vault) -> None:
    adopt(vault, CHAIN[0])
    asked = replace(SPECIFICATION, pooling="mean").to_json()
    assert VaultStore(vault, asked).settings().specification == SPECIFICATION


@pytest.fixture
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's messages ask the process which task of which run it is."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def reply_to(folder: Path, told: dict[str, object], kind: str = "query.release") -> Message:
    records = {"release": ConfigRecord(told)}  # type: ignore[arg-type]
    message = Message(RecordDict(records), 1, kind)  # type: ignore[arg-type]
    message.metadata.__dict__["_message_id"] = "told"
    return client.app.app(message, Context(1, 1, {"vault-dir": str(folder)}, RecordDict(), {}))


@pytest.mark.usefixtures("in_a_run")
def test_a_release_in_a_message_is_adopted_and_the_answer_is_empty(vault: Vault) -> None:
    adopt(vault, CHAIN[0])
    links = [link_of(release) for release in CHAIN[:2]]
    for release in (CHAIN[2], CHAIN[0]):  # the second is a roll-back
        reply = reply_to(vault.folder, {"release": release, "links": links})
        assert not reply.has_error()
        assert len(reply.content) == 0
        assert value_of(vault.universal()) == 3
    assert list(vault.ledger.entries()) == []
    assert [each["about"] for each in refusals(vault)] == ["release 1"]


@pytest.mark.usefixtures("in_a_run")
@pytest.mark.parametrize(
    "told", [{}, {"release": "text"}, {"release": CHAIN[0], "links": ["text"]}, {"links": []}]
)
def test_another_message_is_answered_by_the_fixed_error(
    vault: Vault, told: dict[str, object]
) -> None:
    reply = reply_to(vault.folder, told)
    assert reply.error.reason == REFUSED_REASON
    assert vault.universal() is None
    assert refusals(vault)[0]["text"] == "the server's message is not a release"


@pytest.mark.usefixtures("in_a_run")
def test_a_release_is_answered_by_an_empty_reply_where_there_is_no_fleet(tmp_path: Path) -> None:
    folder = make_device(tmp_path)
    assert len(reply_to(folder, {"release": CHAIN[0]}).content) == 0
    with opened(folder) as vault:
        assert vault.universal() is None


def test_a_chain_is_what_it_should_be() -> None:
    assert len({hashlib.sha256(release).hexdigest() for release in CHAIN}) == len(CHAIN)
