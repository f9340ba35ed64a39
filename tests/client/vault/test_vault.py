"""What goes into a vault comes out of it, after closing and opening, too."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.vault.notes import MOST_ERRORS
from client.vault.records import Clip, ClipArrays, GalleryEntry, StoredHead, User
from client.vault.vault import Vault, VaultExists, new_id, unlock
from common.errors import UsageError
from tests.client.vault.support import (
    FEATURES,
    IDENTITY,
    SECRET,
    a_clip,
    a_gallery,
    a_head,
    a_user,
    filled,
    new_vault,
    same_head,
    some_arrays,
)

ROOT = Path(__file__).resolve().parents[3]
ODD_NAMES = [
    "Ada-Zyzzyva-Örk",
    "🙂 émoi 你好",
    "x" * 10_000,
    "'; DROP TABLE users; --",
    "nul\0byte",
    "line\nbreak",
    "\udcff not UTF-8",
    "../../x",
    "e\u0301",
    "é",
]


def reopened(vault: Vault) -> Vault:
    vault.close()
    return Vault(vault.folder, unlock(vault.folder, SECRET))


def test_everything_is_there_after_opening_again(vault: Vault) -> None:
    ada = a_user()
    clip, arrays, entry = a_clip(ada, label=2), some_arrays(), a_gallery(ada)
    vault.save_user(ada)
    vault.add_gallery(entry)
    vault.add_clip(clip, arrays)
    vault.save_personal(ada.id, a_head(1))
    vault.save_universal(a_head(2))
    vault.set_setting("paused", True)
    vault.log_error("a made-up error")
    with reopened(vault) as again:
        assert again.users() == (ada,)
        assert (again.user("Ada"), again.user_by_id(ada.id)) == (ada, ada)
        assert again.clips() == (clip,)
        assert (again.clip(clip.id), again.clip_by_digest(clip.digest)) == (clip, clip)
        assert np.array_equal(again.arrays(clip.id).features, arrays.features)
        assert np.array_equal(again.arrays(clip.id).own, arrays.own)
        (found,) = again.gallery(IDENTITY)
        assert (found.user, found.spec) == (ada.id, IDENTITY)
        assert np.array_equal(found.embeddings, entry.embeddings)
        assert same_head(again.personal(ada.id), a_head(1))
        assert same_head(again.universal(), a_head(2))
        assert again.setting("paused") is True
        assert [text for _, text in again.errors()] == ["a made-up error"]
        assert again.damaged() == ()


def test_an_empty_vault_has_nothing(vault: Vault) -> None:
    assert (vault.users(), vault.clips(), vault.gallery(IDENTITY)) == ((), (), ())
    assert (vault.user("Ada"), vault.user_by_id("x"), vault.clip("x")) == (None, None, None)
    assert (vault.universal(), vault.personal(new_id()), vault.clip_by_digest("x")) == (None,) * 3
    assert (vault.setting("paused"), vault.setting("paused", 5)) == (None, 5)
    assert (list(vault.ledger.entries()), vault.errors(), vault.damaged()) == ([], (), ())


def test_a_vault_is_never_overwritten(vault: Vault) -> None:
    vault.save_user(a_user())
    with pytest.raises(VaultExists, match="already"):
        new_vault(vault.folder)
    assert len(vault.users()) == 1


def test_a_vault_and_its_folder_are_closed_to_others(vault: Vault) -> None:
    vault.save_user(a_user())
    modes = {path.name: path.stat().st_mode & 0o777 for path in vault.folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert vault.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_come_back(vault: Vault, name: str) -> None:
    user = a_user(name)
    clip = dataclasses.replace(a_clip(user), name=name)
    vault.save_user(user)
    vault.add_clip(clip, some_arrays())
    vault.set_setting(name, name)
    assert (vault.user(name), vault.clips(), vault.setting(name)) == (user, (clip,), name)


@pytest.mark.parametrize("name", ["", " ", "\n\t"])
def test_an_empty_name_is_refused(vault: Vault, name: str) -> None:
    with pytest.raises(UsageError, match="name is empty"):
        vault.save_user(a_user(name))
    assert vault.users() == ()


def test_names_are_exact(vault: Vault) -> None:
    vault.save_user(a_user("Ada"))
    assert vault.user("ada") is None
    vault.save_user(a_user("ada"))
    with pytest.raises(UsageError, match="'Ada' already"):
        vault.save_user(a_user("Ada"))
    assert [user.name for user in vault.users()] == ["Ada", "ada"]


def test_a_changed_user_keeps_everything_else(vault: Vault) -> None:
    ada, ben = filled(vault)
    vault.save_user(dataclasses.replace(ada, name="Adele"))
    assert [user.name for user in vault.users()] == ["Adele", "Ben"]
    assert (vault.user("Ada"), len(vault.clips(user=ada.id))) == (None, 3)
    assert vault.personal(ada.id) is not None
    with pytest.raises(UsageError, match="'Ben' already"):
        vault.save_user(dataclasses.replace(ada, name="Ben"))
    assert vault.user("Ben") == ben


def test_a_name_is_no_id(vault: Vault) -> None:
    ada = a_user()
    vault.save_user(ada)
    with pytest.raises(ValueError, match="no id"):
        vault.save_user(dataclasses.replace(ada, id="Ada"))
    with pytest.raises(ValueError, match="no id"):
        vault.add_clip(dataclasses.replace(a_clip(ada), id="clip.mp4"), some_arrays())


@pytest.mark.parametrize(
    "write",
    [
        lambda vault, user: vault.add_gallery(a_gallery(user)),
        lambda vault, user: vault.add_clip(a_clip(user), some_arrays()),
        lambda vault, user: vault.save_personal(user.id, a_head()),
        lambda vault, user: vault.set_setting("since", 1, user=user.id),
    ],
)
def test_nothing_is_kept_of_a_guest(vault: Vault, write: Callable[[Vault, User], None]) -> None:
    with pytest.raises(UsageError, match="no such user"):
        write(vault, a_user("guest"))
    assert (vault.clips(), vault.gallery(IDENTITY)) == ((), ())


def test_clips_are_newest_first_and_chosen(vault: Vault) -> None:
    ada, ben = filled(vault, clips=2)
    unlabelled = a_clip(ada, 77)
    vault.add_clip(unlabelled, some_arrays())
    assert vault.clips()[0] == unlabelled
    assert [clip.name for clip in vault.clips(user=ben.id)] == ["clip-101.mp4", "clip-100.mp4"]
    assert vault.clips(labelled=False) == (unlabelled,)
    assert len(vault.clips(user=ada.id, labelled=True)) == 2
    assert vault.clips(user="nobody") == ()


def test_the_same_content_is_taken_once(vault: Vault) -> None:
    ada, _ = filled(vault)
    again = dataclasses.replace(a_clip(ada, 1), name="renamed.mp4")
    with pytest.raises(UsageError, match=r"renamed\.mp4.*already"):
        vault.add_clip(again, some_arrays())
    assert len(vault.clips()) == 6


def test_labels_are_kept_and_taken_back(vault: Vault) -> None:
    ada = a_user()
    clip = a_clip(ada)
    vault.save_user(ada)
    vault.add_clip(clip, some_arrays())
    vault.label(clip.id, 3)
    vault.label(clip.id, 0)
    assert [label for label, _ in vault.label_history(clip.id)] == [3, 0]
    assert vault.clip(clip.id) == dataclasses.replace(clip, label=0)
    assert [vault.undo_label(clip.id) for _ in range(3)] == [3, None, None]
    assert vault.clip(clip.id) == clip


@pytest.mark.parametrize("label", [-1, 8, True])
def test_a_label_is_an_expression(vault: Vault, label: int) -> None:
    ada, _ = filled(vault)
    clip = vault.clips(user=ada.id)[0]
    with pytest.raises(UsageError, match="no expression"):
        vault.label(clip.id, label)
    assert vault.clip(clip.id) == clip


@pytest.mark.parametrize(
    "ask",
    [
        lambda vault: vault.label("gone", 1),
        lambda vault: vault.undo_label("gone"),
        lambda vault: vault.label_history("gone"),
        lambda vault: vault.set_answer("gone", {}, 1),
        lambda vault: vault.delete_clip("gone"),
        lambda vault: vault.arrays("gone"),
    ],
)
def test_a_clip_that_is_not_there_is_named(vault: Vault, ask: Callable[[Vault], Any]) -> None:
    with pytest.raises(UsageError, match="no clip 'gone'"):
        ask(vault)


def test_an_answer_is_replaced_and_a_clip_erased(vault: Vault) -> None:
    filled(vault, "Ada")
    first, *others = vault.clips()
    vault.set_answer(first.id, {"expression": "sad"}, 4)
    changed = dataclasses.replace(first, answer={"expression": "sad"}, guessed=4)
    assert vault.clip(first.id) == changed
    vault.delete_clip(first.id)
    assert vault.clips() == tuple(others)


def test_galleries_of_different_networks_are_apart(vault: Vault) -> None:
    ada, _ = filled(vault)
    vault.add_gallery(a_gallery(ada, 9, spec="identity/2"))
    assert [entry.spec for entry in vault.gallery("identity/2")] == ["identity/2"]
    assert len(vault.gallery(IDENTITY)) == 2


def test_heads_are_replaced_and_dropped(vault: Vault) -> None:
    ada, ben = filled(vault)
    vault.save_personal(ada.id, a_head(5))
    assert same_head(vault.personal(ada.id), a_head(5))
    vault.drop_personal(ada.id)
    vault.drop_personal(ada.id)
    assert vault.personal(ada.id) is None
    assert same_head(vault.personal(ben.id), a_head(1))


@pytest.mark.parametrize(
    "array",
    [np.zeros((0, 4), np.float32), np.array(1.5), np.ones((2, 3))[:, ::2], np.ones((3, 2)).T],
)
def test_arrays_of_any_layout_come_back(vault: Vault, array: np.ndarray) -> None:
    vault.save_universal(StoredHead(arrays={"a": array}))
    found = vault.universal()
    assert found is not None
    assert (found.arrays["a"].shape, found.arrays["a"].dtype) == (array.shape, array.dtype)
    assert np.array_equal(found.arrays["a"], array)


def test_what_is_no_head_and_no_features_is_refused(vault: Vault) -> None:
    ada, _ = filled(vault)
    with pytest.raises(ValueError, match="int64"):
        vault.save_universal(StoredHead(arrays={"a": np.arange(3)}))  # type: ignore[dict-item]
    for shape in ((0, 5), (5,), (1, 2, 3)):
        with pytest.raises(ValueError, match="frames, dimension"):
            vault.add_clip(a_clip(ada, 9), ClipArrays(features=np.zeros(shape, np.float32)))
    assert vault.universal() is None


def test_settings_of_users_are_apart(vault: Vault) -> None:
    ada, ben = filled(vault)
    vault.set_setting("since", [1, {"x": None}])
    assert [vault.setting("since", user=user.id) for user in (ada, ben)] == [0, 1]
    assert vault.setting("since") == [1, {"x": None}]
    vault.set_setting("since", None)
    assert vault.setting("since", "default") is None


def test_only_the_newest_errors_stay(vault: Vault) -> None:
    with vault.transaction():
        for number in range(MOST_ERRORS + 5):
            vault.log_error(f"error {number}")
    texts = [text for _, text in vault.errors()]
    assert texts == [f"error {number}" for number in range(5, MOST_ERRORS + 5)]


def test_a_transaction_is_whole_or_nothing(vault: Vault) -> None:
    def enrol(*names: str) -> None:
        with vault.transaction():
            for name in names:
                vault.save_user(a_user(name))

    with pytest.raises(UsageError):
        enrol("Ada", "Ben", "Ada")
    assert (vault.users(), vault.clips()) == ((), ())
    with vault.transaction():
        vault.save_user(a_user("Ada"))
        with pytest.raises(UsageError):
            enrol("Ben", "Ada")
        vault.save_user(a_user("Cleo"))
    assert [user.name for user in vault.users()] == ["Ada", "Cleo"]


def test_threads_share_a_vault(vault: Vault) -> None:
    ada, ben = filled(vault, clips=0)
    failures: list[BaseException] = []

    def work(user: User, first: int) -> None:
        try:
            for number in range(first, first + 10):
                with vault.transaction():
                    clip = a_clip(user, number)
                    vault.add_clip(clip, some_arrays(number))
                    vault.label(clip.id, number % 8)
                assert vault.clip(clip.id) is not None
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(u, n)) for u, n in ((ada, 500), (ben, 600))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(vault.clips(labelled=True)) == 20
    assert vault.damaged() == ()


def test_values_are_as_declared(vault: Vault) -> None:
    filled(vault)
    clip = vault.clips()[0]
    assert isinstance(clip, Clip)
    assert clip.spec == FEATURES
    entry = vault.gallery(IDENTITY)[0]
    assert isinstance(entry, GalleryEntry)
    assert entry.embeddings.dtype == vault.arrays(clip.id).features.dtype == np.float32
    assert vault.arrays(clip.id).own.shape == (8,)


@pytest.mark.parametrize("module", ["vault", "device_store"])
def test_no_model_is_loaded_with_the_vault(module: str) -> None:
    heavy = ("torch", "openvino", "onnxruntime", "dlib", "cv2", "av", "flwr", "scipy")
    program = (
        f"import sys, client.vault.{module}; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
