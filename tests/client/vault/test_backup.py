"""Copies of a vault that is in use, and vaults brought back from them."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from client.vault.errors import VaultBusy
from client.vault.vault import (
    VAULT_FILE,
    Vault,
    VaultCorrupt,
    VaultError,
    VaultExists,
    VaultMissing,
    VaultWrongKey,
    restore,
    unlock,
)
from common.errors import MienError, UsageError, WorkError
from tests.client.vault.support import (
    CHEAP,
    OTHER_SECRET,
    SECRET,
    a_clip,
    a_user,
    filled,
    new_vault,
    some_arrays,
)


def opened(folder: Path) -> Vault:
    return Vault(folder, unlock(folder, SECRET))


def test_a_backup_opens_on_a_new_device(vault: Vault, tmp_path: Path) -> None:
    filled(vault)
    vault.ledger.append({"round": 1})
    target = tmp_path / "copies"
    target.mkdir()
    vault.backup(target / "mien.backup")
    users, clips = vault.users(), vault.clips()
    assert [path.name for path in target.iterdir()] == ["mien.backup"]
    assert stat.S_IMODE((target / "mien.backup").stat().st_mode) == 0o600
    restore(target / "mien.backup", tmp_path / "new", SECRET)
    assert [path.name for path in target.iterdir()] == ["mien.backup"]
    with opened(tmp_path / "new") as again:
        assert (again.users(), again.clips()) == (users, clips)
        assert len(list(again.ledger.entries())) == 1
        assert again.setting("restored") is not None
        assert again.damaged() == ()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert modes == {0o600}


def test_a_backup_from_read_only_media_is_restored(vault: Vault, tmp_path: Path) -> None:
    filled(vault)
    target = tmp_path / "copies"
    target.mkdir()
    vault.backup(target / "mien.backup")
    (target / "mien.backup").chmod(0o400)
    target.chmod(0o500)
    try:
        restore(target / "mien.backup", tmp_path / "new", SECRET)
    finally:
        target.chmod(0o700)
    with opened(tmp_path / "new") as again:
        assert len(again.users()) == 2


def test_a_backup_while_others_write_is_one_true_state(vault: Vault, tmp_path: Path) -> None:
    """Every transaction adds a user with three clips: a copy with another ratio is torn."""
    stop = threading.Event()
    written = threading.Event()

    def write() -> None:
        with opened(vault.folder) as other:
            number = 0
            while not stop.is_set():
                with other.transaction():
                    user = a_user(f"user {number}")
                    other.save_user(user)
                    for take in range(3):
                        other.add_clip(a_clip(user, 3 * number + take), some_arrays(take, 40))
                number += 1
                written.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        written.wait()
        for number in range(5):
            vault.backup(tmp_path / f"{number}.backup")
    finally:
        stop.set()
        thread.join()
    sizes = []
    for number in range(5):
        restore(tmp_path / f"{number}.backup", tmp_path / str(number), SECRET)
        with opened(tmp_path / str(number)) as copy:
            assert len(copy.clips()) == 3 * len(copy.users()) > 0
            assert copy.damaged() == ()
            sizes.append(len(copy.users()))
    assert sizes == sorted(sizes)


def test_a_newer_backup_replaces_an_older_one(vault: Vault, tmp_path: Path) -> None:
    vault.backup(tmp_path / "copy")
    filled(vault)
    vault.backup(tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "new", SECRET)
    with opened(tmp_path / "new") as again:
        assert len(again.users()) == 2


def test_a_backup_does_not_take_the_vaults_place(vault: Vault, tmp_path: Path) -> None:
    for target in (vault.folder / VAULT_FILE, vault.folder):
        with pytest.raises(UsageError, match="can't hold the backup"):
            vault.backup(target)
    with pytest.raises(WorkError, match="can't be written"):
        vault.backup(tmp_path / "gone" / "copy")
    assert vault.damaged() == ()


def test_a_vault_is_replaced_only_when_asked_for(vault: Vault, tmp_path: Path) -> None:
    filled(vault)
    vault.backup(tmp_path / "copy")
    filled(vault, "Cleo", clips=0)
    with pytest.raises(VaultExists):
        restore(tmp_path / "copy", vault.folder, SECRET)
    assert len(vault.users()) == 3


def test_a_vault_in_use_is_not_replaced(vault: Vault, tmp_path: Path) -> None:
    filled(vault)
    vault.backup(tmp_path / "copy")
    vault.save_user(a_user("Cleo"))
    with pytest.raises(VaultBusy, match="has this vault open"):
        restore(tmp_path / "copy", vault.folder, SECRET, replace=True)
    assert len(vault.users()) == 3
    assert vault.damaged() == ()
    vault.close()
    restore(tmp_path / "copy", vault.folder, SECRET, replace=True)
    with opened(vault.folder) as again:
        assert len(again.users()) == 2


def test_another_processes_vault_is_not_replaced(vault: Vault, tmp_path: Path) -> None:
    """The log of a vault whose process died stands beside it; it must not join the new file."""
    filled(vault)
    vault.backup(tmp_path / "copy")
    vault.save_user(a_user("Cleo"))
    left = tmp_path / "left"
    left.mkdir()
    for path in vault.folder.iterdir():
        (left / path.name).write_bytes(path.read_bytes())
    assert (left / f"{VAULT_FILE}-wal").stat().st_size > 0
    restore(tmp_path / "copy", left, SECRET, replace=True)
    with opened(left) as again:
        assert {user.name for user in again.users()} == {"Ada", "Ben"}
        assert again.damaged() == ()


@pytest.mark.parametrize("rubbish", [b"", b"rubbish" * 1000])
def test_a_corrupt_vault_is_brought_back(tmp_path: Path, rubbish: bytes) -> None:
    with new_vault(tmp_path / "device") as vault:
        filled(vault)
        vault.backup(tmp_path / "copy")
    for ending in ("", "-wal", "-shm"):
        (tmp_path / "device" / f"{VAULT_FILE}{ending}").write_bytes(rubbish)
    restore(tmp_path / "copy", tmp_path / "device", SECRET, replace=True)
    with opened(tmp_path / "device") as again:
        assert len(again.users()) == 2
        assert again.damaged() == ()


def test_a_backup_opens_with_the_secret_of_its_time(vault: Vault, tmp_path: Path) -> None:
    filled(vault)
    vault.backup(tmp_path / "copy")
    vault.rekey(OTHER_SECRET, cost=CHEAP)
    with pytest.raises(VaultWrongKey):
        restore(tmp_path / "copy", tmp_path / "new", OTHER_SECRET)
    assert not (tmp_path / "new").exists()
    restore(tmp_path / "copy", tmp_path / "new", SECRET)
    with opened(tmp_path / "new") as again:
        assert len(again.users()) == 2


def test_what_is_no_backup_replaces_nothing(vault: Vault, tmp_path: Path) -> None:
    filled(vault)
    vault.backup(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    vault.close()
    cases: dict[str, type[VaultError]] = {"gone": VaultMissing, "rubbish": VaultCorrupt}
    (tmp_path / "rubbish").write_bytes(b"rubbish" * 999)
    for length in (100, 4096, len(whole) // 2, len(whole) - 4096):
        (tmp_path / f"cut-{length}").write_bytes(whole[:length])
        cases[f"cut-{length}"] = VaultCorrupt
    for name, kind in cases.items():
        with pytest.raises(kind) as caught:
            restore(tmp_path / name, vault.folder, SECRET, replace=True)
        assert isinstance(caught.value, MienError)
        assert "\n" not in str(caught.value)
    with opened(vault.folder) as again:
        assert len(again.users()) == 2
        assert again.setting("restored") is None
