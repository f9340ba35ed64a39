"""A new key for everything: all of it or none, and nothing of the old key stays of use."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from client.vault import upkeep
from client.vault.errors import RowDamaged
from client.vault.keys import KeyFile, make_key_file
from client.vault.vault import (
    VAULT_FILE,
    Passphrase,
    Vault,
    VaultWrongKey,
    lock_kind,
    new_id,
    unlock,
)
from common.errors import UsageError
from tests.client.vault.support import (
    CHEAP,
    IDENTITY,
    OTHER_SECRET,
    SECRET,
    a_clip,
    a_head,
    a_user,
    filled,
    new_vault,
    same_head,
    some_arrays,
)


def test_everything_is_as_before_under_the_new_key(vault: Vault) -> None:
    ada, _ = filled(vault)
    vault.save_universal(a_head(5))
    vault.set_setting("paused", True)
    vault.ledger.append({"round": 1})
    vault.log_error("kept")
    users, clips, errors = vault.users(), vault.clips(), vault.errors()
    history = vault.label_history(clips[0].id)
    key = vault.rekey(OTHER_SECRET, cost=CHEAP)
    vault.ledger.append({"round": 2})
    vault.close()
    assert unlock(vault.folder, OTHER_SECRET) == key
    with Vault(vault.folder, key) as again:
        assert (again.users(), again.clips(), again.errors()) == (users, clips, errors)
        assert again.label_history(clips[0].id) == history
        assert (again.user("Ada"), again.clip_by_digest(clips[0].digest)) == (ada, clips[0])
        assert (again.setting("paused"), again.setting("since", user=ada.id)) == (True, 0)
        assert same_head(again.universal(), a_head(5))
        assert len(again.gallery(IDENTITY)) == 2
        assert np.array_equal(again.arrays(clips[-1].id).features, some_arrays(0).features)
        assert [entry["round"] for entry in again.ledger.entries()] == [1, 2]
        assert again.damaged() == ()
        with pytest.raises(UsageError, match="already"):
            again.save_user(a_user("Ada"))
        with pytest.raises(UsageError, match="already"):
            again.add_clip(a_clip(ada, 0), some_arrays())


def test_the_old_secret_and_the_old_data_key_open_nothing(vault: Vault) -> None:
    old = unlock(vault.folder, SECRET)
    vault.rekey(OTHER_SECRET, cost=CHEAP)
    with pytest.raises(VaultWrongKey):
        unlock(vault.folder, SECRET)
    with pytest.raises(VaultWrongKey):
        Vault(vault.folder, old)


def test_from_passphrase_to_key_file(vault: Vault, tmp_path: Path) -> None:
    make_key_file(tmp_path / "key")
    key = vault.rekey(KeyFile(tmp_path / "key"))
    assert lock_kind(vault.folder) == "key file"
    assert unlock(vault.folder, KeyFile(tmp_path / "key")) == key


def test_who_has_the_vault_open_learns_of_the_new_key(vault: Vault) -> None:
    """Or it would read every row as damaged, and write what nobody can read."""
    ada, _ = filled(vault)
    with Vault(vault.folder, unlock(vault.folder, SECRET)) as other:
        vault.rekey(OTHER_SECRET, cost=CHEAP)
        for work in (
            other.users,
            lambda: other.user("Ada"),
            lambda: other.save_user(a_user("Cleo")),
            lambda: other.ledger.append({"round": 1}),
            lambda: other.forget(ada.id),
        ):
            with pytest.raises(VaultWrongKey, match="unlock it again"):
                work()
    assert len(vault.users()) == 2
    assert vault.damaged() == ()


def test_a_bad_new_secret_changes_nothing(vault: Vault, tmp_path: Path) -> None:
    filled(vault)
    with pytest.raises(UsageError):
        vault.rekey(Passphrase(""), cost=CHEAP)
    for work in (lambda: vault.rekey(OTHER_SECRET, cost=CHEAP), lambda: vault.forget("nobody")):
        with pytest.raises(RuntimeError, match="outside"), vault.transaction():
            work()
    assert unlock(vault.folder, SECRET)
    assert vault.damaged() == ()


def test_an_error_half_way_changes_nothing(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(vault)
    vault.ledger.append({"round": 1})
    true, calls = upkeep._seal_anew, []

    def failing(database, table, cipher):
        calls.append(table)
        if len(calls) == 5:
            raise MemoryError
        true(database, table, cipher)

    monkeypatch.setattr(upkeep, "_seal_anew", failing)
    with pytest.raises(MemoryError):
        vault.rekey(OTHER_SECRET, cost=CHEAP)
    assert len(vault.users()) == 2
    assert vault.damaged() == ()
    assert unlock(vault.folder, SECRET)


def test_damaged_rows_stay_named_and_lose_what_the_old_key_could_read(tmp_path: Path) -> None:
    with new_vault(tmp_path) as vault:
        ada, ben = filled(vault)
        clip = vault.clips(user=ben.id)[0]
    spoilt = bytes(500)
    with closing(sqlite3.connect(tmp_path / VAULT_FILE)) as connection, connection:
        connection.execute("UPDATE users SET about = ? WHERE id = ?", (spoilt, ada.id))
        connection.execute("UPDATE clips SET arrays = ? WHERE id = ?", (spoilt, clip.id))
    with Vault(tmp_path, unlock(tmp_path, SECRET)) as vault:
        vault.rekey(OTHER_SECRET, cost=CHEAP)
        assert {(d.table, d.row) for d in vault.damaged()} == {
            ("users", ada.id),
            ("clips", clip.id),
        }
        assert vault.clip(clip.id) == clip
        with pytest.raises(RowDamaged):
            vault.arrays(clip.id)
        assert vault.user("Ada") is None
        assert vault.user_by_id(new_id()) is None
        vault.save_user(a_user("Ada"))


def test_other_threads_notice_nothing_but_a_short_wait(vault: Vault) -> None:
    filled(vault)
    failures: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                assert vault.user("Ada") is not None
                assert len(vault.clips()) == 6
                vault.ledger.append({"round": 1})
                vault.set_setting("x", vault.setting("x", 0) + 1)
            except BaseException as error:  # noqa: BLE001 - told to the test's own thread
                failures.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(8):
        vault.rekey((SECRET, OTHER_SECRET)[number % 2], cost=CHEAP)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert vault.damaged() == ()
