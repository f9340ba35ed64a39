"""Personalising from the vault, on the backbone's labels and on a universal head."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.device import fitting, readers, work
from client.device.bases import stored_universal, universal_head
from client.device.device import Device
from client.device.due import base_digest, is_due, new_corrections, usable_personal
from client.device.fitting import personalise
from client.personalisation import METHODS
from client.personalisation.interface import Fitting, get_acquainted
from client.recognition.answer import BACKBONE, PERSONAL, UNIVERSAL
from client.recognition.readers import Reader
from client.vault.records import StoredHead
from client.vault.vault import VAULT_FILE, Vault
from common.clips import ClipSet, make_clip_set
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from common.heads.specification import HeadSpecification
from common.heads.universal import UniversalHead
from tests.client.device.conftest import Play
from tests.client.device.fakes import DIMENSION, SPEC, FakeRecogniser, features_of
from tests.client.fakes import any_head

FOUR = ["happy", "calm", "angry", "surprised"]


def head_for(kind: str = "logistic", *, features: str = SPEC, seed: int = 0) -> UniversalHead:
    specification = HeadSpecification(
        kind=kind, dimension=DIMENSION, features=features, scatter=kind == "logistic"
    )
    head = any_head(specification, seed)
    if specification.scatter:
        arrays = {**head.arrays, "reference.scatter": np.eye(DIMENSION, dtype=np.float32)}
        head = UniversalHead(specification, arrays)
    return head


def as_clip_set(vault: Vault, user: str, *, labelled: bool) -> ClipSet:
    clips = [clip for clip in vault.clips(user=user) if clip.label is not None or not labelled]
    return make_clip_set(
        [clip.id for clip in clips],
        [user] * len(clips),
        [clip.label or 0 for clip in clips],
        [vault.arrays(clip.id).features for clip in clips],
    )


def test_a_user_is_read_better_after_learning(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    play.corrected(FOUR * 5, wrong=lambda take: take % 2 == 0)
    waiting = play.recognise(play.clip("Ada", "happy", 77, own="sad"))
    assert (waiting.expression, waiting.head) == ("sad", BACKBONE)
    done = personalise(vault, user)
    assert (done["head"], done["learnt_from"], done["clips"]) == (PERSONAL, 20, 21)
    assert done["comparison"]["before"] == 10
    assert done["comparison"]["after"] > 16
    assert done["answers_changed"] == 1
    again = vault.clip(waiting.clip)
    assert again is not None
    assert (EXPRESSIONS[again.guessed], again.answer["head"]) == ("happy", PERSONAL)
    assert again.answer["moments"][-1]["probabilities"][2] == max(
        again.answer["probabilities"].values()
    )
    assert len(again.answer["moments"]) == 1
    fresh = play.recognise(play.clip("Ada", "happy", 78, own="sad"))
    assert (fresh.expression, fresh.head) == ("happy", PERSONAL)
    assert "own clip(s) bear it out" in fresh.reason


def test_labelled_clips_keep_the_answer_they_were_corrected_from(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    ids = play.corrected(FOUR * 5, wrong=lambda take: take % 2 == 0)
    before = [vault.clip(id) for id in ids]
    personalise(vault, user)
    assert [vault.clip(id) for id in ids] == before


def test_other_users_are_read_as_before(vault: Vault, play: Play) -> None:
    user, _ = play.enrol("Ada"), play.enrol("Bob")
    play.corrected(FOUR * 5, wrong=lambda take: take % 2 == 0)
    before = play.recognise(play.clip("Bob", "happy", 1, own="sad"), keep=False)
    personalise(vault, user)
    after = play.recognise(play.clip("Bob", "happy", 1, own="sad"), keep=False)
    assert after.probabilities == before.probabilities
    assert after.head == BACKBONE


def test_one_clip_is_too_few_and_said_so(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    play.corrected(["happy"], wrong=lambda take: True)
    done = personalise(vault, user)
    assert (done["head"], done["personal"], done["learnt_from"]) == (BACKBONE, False, 1)
    assert "too few clips to say" in done["comparison"]["sentence"]
    assert new_corrections(vault, user) == 0


def test_one_expression_only_teaches_nothing(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    play.corrected(["happy"] * 12, wrong=lambda take: True)
    done = personalise(vault, user)
    assert not done["personal"]
    assert "all show 'happy'" in done["reason"]
    answer = play.recognise(play.clip("Ada", "angry", 50))
    assert (answer.expression, answer.head) == ("angry", BACKBONE)
    assert "all show 'happy'" in answer.reason


def test_a_user_without_a_clip(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    done = personalise(vault, user)
    assert (done["clips"], done["personal"], done["comparison"]) == (0, False, None)
    assert vault.personal(user) is None


def test_a_user_who_is_not_there(vault: Vault) -> None:
    with pytest.raises(UsageError, match="not enrolled"):
        personalise(vault, "0" * 32)


def test_corrections_taken_back_are_unlearnt(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    ids = play.corrected(FOUR * 5, wrong=lambda take: take % 2 == 0)
    assert personalise(vault, user)["personal"]
    device = Device(vault)
    for id in ids:
        device.undo(id)
    assert is_due(vault, user)
    done = personalise(vault, user)
    assert (done["personal"], done["labelled"]) == (False, 0)
    assert "none of your clips is confirmed" in done["reason"]
    assert not is_due(vault, user)


def test_relabelling_counts_as_new_and_relabelling_back_does_not(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    ids = play.corrected(FOUR)
    personalise(vault, user)
    device = Device(vault)
    assert device.correct(ids[0], "sad")["corrections"] == 1
    assert device.correct(ids[1], "sad")["corrections"] == 2
    assert device.correct(ids[0], "happy")["corrections"] == 1
    assert device.undo(ids[1])["corrections"] == 0
    # The head that was made with the clip goes with it: what is left is all new to the next one.
    assert device.discard(ids[2])["corrections"] == 3


def test_the_same_recording_twice_counts_once(vault: Vault, play: Play) -> None:
    """Two files with equal features, as of a clip that was copied into another container."""
    user = play.enrol("Ada")
    for copy in ("mp4", "webm"):
        for take, expression in enumerate(FOUR):
            path = play.clip("Ada", expression, take, container=copy)
            Device(vault).correct(play.recognise(path).clip, expression)
    done = personalise(vault, user)
    assert (done["labelled"], done["learnt_from"]) == (8, 4)


def test_features_of_another_backbone_are_counted_and_left_out(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    play.corrected(FOUR * 5, wrong=lambda take: take % 2 == 0)
    assert personalise(vault, user)["personal"]
    play.recogniser = FakeRecogniser("other/1")
    answer = play.recognise(play.clip("Ada", "happy", 60))
    assert answer.head == BACKBONE
    assert usable_personal(vault, user, "other/1") is None
    row = Device(vault).users()[0]
    assert (row["other_backbone"], row["head"]["kind"]) == (20, BACKBONE)
    assert new_corrections(vault, user) == 0
    done = personalise(vault, user)
    assert (done["clips"], done["labelled"], done["other_backbone"]) == (1, 0, 20)


def damage(vault: Vault, table: str, column: str, key: str, id: str) -> None:
    """Flip a bit of one encrypted value."""
    with closing(sqlite3.connect(vault.folder / VAULT_FILE)) as connection, connection:
        where = f"FROM {table} WHERE {key} = ?"
        (value,) = connection.execute(f"SELECT {column} {where}", (id,)).fetchone()
        broken = value[:-1] + bytes([value[-1] ^ 1])
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (broken, id))


def test_a_damaged_personal_head_is_fitted_again(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    play.corrected(FOUR * 5, wrong=lambda take: take % 2 == 0)
    assert personalise(vault, user)["personal"]
    damage(vault, "heads", "arrays", "owner", user)
    row = Device(vault).users()[0]
    assert (row["head"]["kind"], row["due"]) == (BACKBONE, True)
    assert play.recognise(play.clip("Ada", take=70)).head == BACKBONE
    assert "damaged" in json.dumps(Device(vault).export("Ada")["users"][0]["personal_head"])
    assert personalise(vault, user)["personal"]
    assert play.recognise(play.clip("Ada", take=71)).head == PERSONAL
    damage(vault, "heads", "arrays", "owner", user)
    assert Device(vault).forget("Ada")["left"] == 0


def test_a_damaged_universal_head_is_said_and_not_replaced_in_silence(
    vault: Vault, play: Play
) -> None:
    user = play.enrol("Ada")
    play.corrected(FOUR * 5)
    vault.save_universal(stored_universal(head_for(), {"round": 3}))
    personalise(vault, user)
    damage(vault, "heads", "arrays", "owner", "")
    device = Device(vault)
    assert "is damaged" in device.users()[0]["head"]["reason"]
    assert "is damaged" in device.status()["universal_head"]["damaged"]
    assert not is_due(vault, user)
    with pytest.raises(WorkError, match="is damaged"):
        play.recognise(play.clip("Ada", take=70))
    with pytest.raises(WorkError, match="is damaged"):
        personalise(vault, user)


def test_a_label_that_comes_while_learning_is_kept_and_counts_as_new(
    vault: Vault, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = play.enrol("Ada")
    play.corrected(FOUR * 5, wrong=lambda take: take % 2 == 0)
    waiting = play.recognise(play.clip("Ada", "happy", 77, own="sad")).clip
    fit = fitting.fit

    def label_and_fit(*given: Any) -> Any:
        Device(vault).correct(waiting, "happy")
        return fit(*given)

    monkeypatch.setattr(fitting, "fit", label_and_fit)
    done = personalise(vault, user)
    assert (done["learnt_from"], done["answers_changed"]) == (20, 0)
    assert new_corrections(vault, user) == 1
    clip = vault.clip(waiting)
    assert clip is not None
    assert (clip.label, EXPRESSIONS[clip.guessed]) == (2, "sad")


def test_a_damaged_clip_is_counted_and_the_rest_is_learnt(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    ids = play.corrected(FOUR * 5, wrong=lambda take: take % 2 == 0)
    damage(vault, "clips", "arrays", "id", ids[3])
    done = personalise(vault, user)
    assert (done["damaged"], done["learnt_from"]) == (1, 19)
    assert done["personal"]


def test_a_user_who_is_forgotten_while_learning(
    vault: Vault, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = play.enrol("Ada")
    play.corrected(FOUR * 3)
    fit = fitting.fit

    def forget_and_fit(*given: Any) -> Any:
        vault.forget(user)
        return fit(*given)

    monkeypatch.setattr(fitting, "fit", forget_and_fit)
    with pytest.raises(UsageError, match="any more"):
        personalise(vault, user)
    assert vault.personal(user) is None


@pytest.mark.parametrize("kind", ["logistic", "single-attention", "self-attention"])
def test_with_a_universal_head_it_is_the_method_of_the_simulations(
    vault: Vault, play: Play, kind: str
) -> None:
    user = play.enrol("Ada")
    play.corrected(FOUR * 4)
    play.recognise(play.clip("Ada", "sad", 60))
    head = head_for(kind)
    vault.save_universal(stored_universal(head, {"round": 3}))
    done = personalise(vault, user)
    known = get_acquainted(head, as_clip_set(vault, user, labelled=False))
    labelled = as_clip_set(vault, user, labelled=True)
    view = known.view(labelled)
    expected = METHODS["map"](view, labelled.labels, Fitting())
    test = make_clip_set(["t"], [user], [0], [features_of("Ada", 2, 99)])
    reader = readers.VaultReaders(vault, SPEC).reader(user)
    assert reader.kind == (PERSONAL if done["personal"] else UNIVERSAL)
    if done["personal"] == expected.personal:
        found = reader.logits(features_of("Ada", 2, 99), None)
        np.testing.assert_allclose(found, expected.logits(known.view(test))[0], atol=1e-4)
    else:
        assert "without learning more" in done["reason"]


def test_a_guest_is_read_without_anybodys_statistics(vault: Vault) -> None:
    head = head_for()
    vault.save_universal(stored_universal(head, {}))
    reader = readers.VaultReaders(vault, SPEC).reader(None)
    clips = make_clip_set(["t"], ["u"], [0], [features_of("Bob", 2, 1)])
    expected = get_acquainted(head, clips).view(clips).raw[0]
    assert reader.kind == UNIVERSAL
    np.testing.assert_allclose(reader.logits(features_of("Bob", 2, 1), None), expected, atol=1e-5)


def test_a_known_user_is_read_with_statistics_of_all_own_clips(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    for take, expression in enumerate(FOUR):
        play.recognise(play.clip("Ada", expression, take))
    head = head_for()
    vault.save_universal(stored_universal(head, {}))
    clips = as_clip_set(vault, user, labelled=False)
    test = make_clip_set(["t"], [user], [0], [features_of("Ada", 2, 99)])
    expected = get_acquainted(head, clips).view(test).universal[0]
    reader = readers.VaultReaders(vault, SPEC).reader(user)
    assert reader.kind == UNIVERSAL
    np.testing.assert_allclose(reader.logits(features_of("Ada", 2, 99), None), expected, atol=1e-4)


def test_a_personal_head_rests_when_its_base_changes(vault: Vault, play: Play) -> None:
    user = play.enrol("Ada")
    play.corrected(FOUR * 5, wrong=lambda take: take % 2 == 0)
    assert personalise(vault, user)["personal"]
    vault.save_universal(stored_universal(head_for(seed=4), {}))
    assert usable_personal(vault, user, SPEC) is None
    answer = play.recognise(play.clip("Ada", "happy", 61))
    assert answer.head == UNIVERSAL
    assert "it rests until it is fitted again" in answer.reason
    assert Device(vault).users()[0]["head"] == {"kind": UNIVERSAL, "reason": answer.reason}
    assert is_due(vault, user)
    personalise(vault, user)
    assert usable_personal(vault, user, SPEC) is not None
    assert not is_due(vault, user)


def test_a_universal_head_for_other_features_is_not_used(vault: Vault, play: Play) -> None:
    play.enrol("Ada")
    vault.save_universal(stored_universal(head_for(features="other/1"), {}))
    answer = play.recognise(play.clip("Ada"))
    assert answer.head == BACKBONE


def test_a_universal_head_comes_back(vault: Vault) -> None:
    head = head_for()
    vault.save_universal(stored_universal(head, {"round": 3, "run": 5}))
    stored = vault.universal()
    assert stored is not None
    again = universal_head(stored)
    assert again.specification == head.specification
    assert all(np.array_equal(again.arrays[name], head.arrays[name]) for name in head.arrays)
    assert base_digest(stored) == base_digest(stored_universal(head, {"round": 9}))
    assert base_digest(stored) != base_digest(stored_universal(head_for(seed=1), {}))
    assert base_digest(None) == ""


@pytest.mark.parametrize("change", ["missing", "shape", "kind"])
def test_a_universal_head_that_does_not_fit_is_refused(vault: Vault, change: str) -> None:
    stored = stored_universal(head_for(), {})
    arrays, about = dict(stored.arrays), dict(stored.about)
    if change == "missing":
        del arrays["user.bias"]
    elif change == "shape":
        arrays["user.bias"] = np.zeros(7, dtype=np.float32)
    else:
        about["specification"] = about["specification"].replace("logistic", "forest")
    with pytest.raises(WorkError, match="the device's universal head can't be used"):
        universal_head(StoredHead(arrays=arrays, about=about))


def test_readers_are_what_the_recogniser_asks_for(vault: Vault) -> None:
    reader: Reader = work.readers(vault, SPEC).reader(None)
    own = np.arange(8, dtype=np.float32)
    assert np.array_equal(reader.logits(features_of("Bob", 0, 0), own), own)
    with pytest.raises(WorkError, match="no labels of its own"):
        reader.logits(features_of("Bob", 0, 0), None)


@pytest.mark.slow
def test_five_hundred_clips(vault: Vault, play: Play, tmp_path: Path) -> None:
    """Several hundred clips are learnt from in bounded work: folds, not one fit per clip."""
    user = play.enrol("Ada")
    names = [EXPRESSIONS[take % 8] for take in range(500)]
    with vault.transaction():
        for take, name in enumerate(names):
            own = "sad" if take % 3 == 0 else name
            vault.label(play.recognise(play.clip("Ada", name, take, own=own)).clip, take % 8)
    done = personalise(vault, user)
    assert (done["learnt_from"], done["comparison"]["clips"]) == (500, 500)
    assert done["personal"]
    assert done["comparison"]["after"] > done["comparison"]["before"]
