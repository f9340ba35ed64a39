"""Recognising: a known user's clip is kept, whole; of guests nothing is."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from client.device import work
from client.device.due import feature_spec
from client.recognition.answer import BACKBONE, UNKNOWN, Answer
from client.vault.vault import VAULT_FILE, Vault
from common.errors import WorkError
from common.expressions import EXPRESSIONS
from tests.client.device.conftest import Play
from tests.client.device.fakes import SPEC, FakeRecogniser, digest, features_of


def test_a_users_clip_is_kept(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    path = play.clip("Ada", "sad", 3)
    answer = play.recognise(path)
    clip = vault.clip(answer.clip)
    assert clip is not None
    assert (clip.user, clip.name, clip.spec, clip.label) == (user, path.name, SPEC, None)
    assert (clip.guessed, answer.expression, answer.user) == (3, "sad", "Ada")
    assert Answer.from_json(clip.answer) == answer
    assert clip.digest == digest(path)
    assert np.array_equal(vault.arrays(clip.id).features, features_of("Ada", 3, 3))
    assert feature_spec(vault) == SPEC


def test_nothing_is_kept_of_a_guest(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    size = (vault.folder / VAULT_FILE).stat().st_size
    answer = play.recognise(play.clip("Bob", "sad"))
    assert (answer.user, answer.clip, answer.head) == (UNKNOWN, "", BACKBONE)
    assert vault.clips() == ()
    assert vault.setting("features") is None
    assert (vault.folder / VAULT_FILE).stat().st_size == size


def test_nothing_is_kept_unless_asked(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    answer = play.recognise(play.clip("Ada"), keep=False)
    assert (answer.user, answer.clip) == ("Ada", "")
    assert vault.clips() == ()


def test_the_same_file_twice_gives_the_kept_answer(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    path = play.clip("Ada")
    first, looked = play.recognise(path), play.recogniser.looked
    told: list[Answer] = []
    assert play.recognise(path, on_answer=told.append) == first
    assert told == [first]
    assert play.recogniser.looked == looked
    assert len(vault.clips()) == 1


def test_a_stream_is_known_at_its_end(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    content = play.clip("Ada").read_bytes()
    found: list[Answer] = []
    for _ in range(2):
        stream = io.BytesIO(content)
        found.append(
            work.recognise(
                vault,
                play.recogniser,
                stream,
                name="live",
                digest=lambda: hashlib.sha256(content).hexdigest(),
            )
        )
    assert found[0].clip == found[1].clip != ""
    assert len(vault.clips()) == 1


def test_partial_answers_come_first_and_the_last_is_kept(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    told: list[Answer] = []
    answer = play.recognise(play.clip("Ada"), on_answer=told.append)
    assert [each.final for each in told] == [False, True]
    assert told[-1] == answer
    assert vault.clip(told[-1].clip) is not None
    assert told[0].clip == ""


def test_a_broken_clip_changes_nothing(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    with pytest.raises(WorkError, match="no face"):
        play.recognise(play.clip("Ada", broken=True))
    assert vault.clips() == ()


def test_a_user_who_is_forgotten_meanwhile_leaves_no_clip(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    path = play.clip("Ada")

    def forget(answer: Answer) -> None:
        if vault.user_by_id(user):
            vault.forget(user)

    answer = play.recognise(path, on_answer=forget)
    assert (answer.user, answer.clip) == (UNKNOWN, "")
    assert vault.clips() == ()


def test_with_another_backbone_a_file_is_seen_anew_and_keeps_its_label(
    vault: Vault, play: Play
) -> None:
    play.enrol("Ada")
    path = play.clip("Ada")
    vault.label(play.recognise(path).clip, 5)
    other = FakeRecogniser("other/1")
    answer = work.recognise(vault, other, path, name=path.name, digest=digest(path))  # type: ignore[arg-type]
    (clip,) = vault.clips()
    assert (clip.id, clip.spec, clip.label) == (answer.clip, "other/1", 5)
    assert feature_spec(vault) == "other/1"


def test_a_backbone_without_labels_needs_a_head(vault: Vault, play: Play) -> None:
    play.recogniser = FakeRecogniser(own=False)
    play.enrol("Ada")
    with pytest.raises(WorkError, match="mien device head FILE"):
        play.recognise(play.clip("Ada"))


def test_of_a_long_clip_a_bounded_number_of_moments_is_kept(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    answer = play.recognise(play.clip("Ada", frames=333))
    assert len(answer.moments) == work.MOST_MOMENTS
    assert answer.expression == "happy"
    assert set(answer.to_json()["probabilities"]) == set(EXPRESSIONS)


def test_reading_from_a_path_needs_no_stream(vault: Vault, play: Play, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    play.recognise(play.clip("Bob"))
    new = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert [path.parent.name for path in new] == ["clips"]
