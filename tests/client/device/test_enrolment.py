"""Enrolling: one person, alone, with consent; or nothing is stored."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest

from client.device.enrolment import enrol
from client.vault.vault import Vault
from common.errors import MienError, UsageError, WorkError
from tests.client.device.conftest import Play
from tests.client.device.fakes import NO, YES, FakeRecogniser, clip_file

SPEC = "dlib-resnet/1"


def rows(vault: Vault) -> tuple[int, int]:
    return len(vault.users()), len(vault.gallery(SPEC))


def test_a_person_is_known_by_every_clip(vault: Vault, play: Play) -> None:
    clips = [play.clip("Ada", take=take) for take in range(3)]
    done = enrol(vault, play.recogniser, "Ada", clips, NO)
    assert done == {
        "user": "Ada",
        "new": True,
        "clips": 3,
        "known": 0,
        "embeddings": 12,
        "federate": False,
        "warnings": [],
    }
    user = vault.user("Ada")
    assert user is not None
    assert user.consent == NO
    assert {entry.user for entry in vault.gallery(SPEC)} == {user.id}
    assert vault.clips() == ()


def test_more_clips_and_a_changed_mind_keep_the_user(vault: Vault, play: Play) -> None:
    first = play.enrol("Ada", NO)
    again = [play.clip("Ada", take=900), play.clip("Ada", take=1)]
    done = enrol(vault, play.recogniser, "Ada", again, YES)
    assert (done["new"], done["clips"], done["known"]) == (False, 1, 1)
    user = vault.user("Ada")
    assert user is not None
    assert (user.id, user.consent) == (first, YES)
    assert rows(vault) == (1, 2)


def test_streams_are_enrolled_too(vault: Vault, play: Play) -> None:
    stream = io.BytesIO(play.clip("Ada").read_bytes())
    assert enrol(vault, play.recogniser, "Ada", [stream], YES)["clips"] == 1


def test_warnings_name_their_clip(vault: Vault, play: Play) -> None:
    dark = play.clip("Ada", warnings=["it is dark"])
    done = enrol(vault, play.recogniser, "Ada", [dark], YES, names=["a.mp4"])
    assert done["warnings"] == ["a.mp4: it is dark"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"faces": 2}, "2 faces can be seen at once, so nothing was stored"),
        ({"persons": 2}, "more than one person takes a turn"),
        ({"faces": 0}, "no face was found"),
        ({"broken": True}, "no face was found"),
    ],
)
def test_a_clip_that_is_not_of_one_person_stores_nothing(
    vault: Vault, play: Play, more: dict[str, Any], problem: str
) -> None:
    clips = [play.clip("Ada"), play.clip("Ada", take=1, **more)]
    with pytest.raises(WorkError, match=problem):
        enrol(vault, play.recogniser, "Ada", clips, YES)
    assert rows(vault) == (0, 0)


def test_clips_of_two_persons_store_nothing(vault: Vault, play: Play) -> None:
    clips = [play.clip("Ada"), play.clip("Bob")]
    with pytest.raises(WorkError, match=r"Bob.*shows another person than Ada.*nothing was stored"):
        enrol(vault, play.recogniser, "Ada", clips, YES)
    assert rows(vault) == (0, 0)


def test_a_face_that_is_enrolled_is_not_enrolled_again(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    with pytest.raises(WorkError, match="already enrolled as Ada, so nothing was stored under Eve"):
        enrol(vault, play.recogniser, "Eve", [play.clip("Ada")], YES)
    assert rows(vault) == (1, 1)


def test_nobody_takes_over_a_name(vault: Vault, play: Play) -> None:
    play.enrol("Ada", NO)
    with pytest.raises(WorkError, match="this is not the face that is enrolled as Ada"):
        enrol(vault, play.recogniser, "Ada", [play.clip("Eve")], YES)
    user = vault.user("Ada")
    assert user is not None
    assert user.consent == NO
    assert rows(vault) == (1, 1)


def test_embeddings_of_another_network_are_not_compared(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    play.recogniser.identity_spec = "dlib-resnet/2"
    done = enrol(vault, play.recogniser, "Eve", [play.clip("Ada", take=5)], YES)
    assert done["new"]
    assert len(vault.gallery("dlib-resnet/2")) == 1


def test_a_network_without_a_threshold_is_refused(vault: Vault, play: Play) -> None:
    play.recogniser.identity_spec = "vggface2-enet0/1"
    clips = [play.clip("Ada"), play.clip("Ada", take=1)]
    with pytest.raises(UsageError, match=r"vggface2-enet0.*no published threshold"):
        enrol(vault, play.recogniser, "Ada", clips, YES)


@pytest.mark.parametrize(
    "name", ["", " ", " Ada", "A\nda", "unknown", "Unknown", "x" * 101, "\ud800"]
)
def test_names_that_cannot_be(vault: Vault, play: Play, name: str) -> None:
    with pytest.raises(UsageError, match=r"name|called"):
        enrol(vault, play.recogniser, name, [play.clip("Ada")], YES)
    assert play.recogniser.looked == 0


def test_consent_to_another_text_does_not_count(vault: Vault, play: Play) -> None:
    old = dataclasses.replace(YES, version=0)
    with pytest.raises(UsageError, match="consent given is to version 0 of the text"):
        enrol(vault, play.recogniser, "Ada", [play.clip("Ada")], old)


@pytest.mark.parametrize("count", [0, 51])
def test_the_number_of_clips_is_bounded(vault: Vault, tmp_path: Path, count: int) -> None:
    clips = [clip_file(tmp_path, "Ada")] * count
    with pytest.raises(UsageError, match=f"1 to 50 clips of the person, found {count}"):
        enrol(vault, FakeRecogniser(), "Ada", clips, YES)  # type: ignore[arg-type]


def test_names_of_clips_must_fit(vault: Vault, play: Play) -> None:
    with pytest.raises(MienError, match="1 clips to enrol came with 2 names"):
        enrol(vault, play.recogniser, "Ada", [play.clip("Ada")], YES, names=["a", "b"])
