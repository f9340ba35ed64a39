"""What locks a vault, and the different errors of one that can't be opened."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.vault.keys import (
    RECOMMENDED,
    Argon2Cost,
    KeyFile,
    Passphrase,
    lock,
    make_key_file,
    open_lock,
)
from client.vault.schema import FORMAT
from client.vault.vault import (
    VAULT_FILE,
    Vault,
    VaultCorrupt,
    VaultError,
    VaultLocked,
    VaultMissing,
    VaultTooNew,
    VaultWrongKey,
    create_vault,
    lock_kind,
    unlock,
)
from common.errors import UsageError, WorkError
from tests.client.vault.support import CHEAP, OTHER_SECRET, SECRET, a_user, filled, new_vault

KEY = bytes(range(32))


def closed_vault(folder: Path) -> Path:
    with new_vault(folder) as vault:
        filled(vault)
    return folder / VAULT_FILE


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def test_the_recommended_cost_is_the_second_option_of_rfc_9106() -> None:
    assert Argon2Cost(iterations=3, lanes=4, memory_kib=65536) == RECOMMENDED


def test_a_real_cost_is_written_into_the_lock_and_opens_it() -> None:
    text = lock(KEY, SECRET, "vault")
    told = json.loads(text)
    assert (told["iterations"], told["lanes"], told["memory_kib"]) == (3, 4, 65536)
    assert open_lock(text, SECRET, "vault") == KEY
    assert SECRET.text not in text


@given(text=st.text(st.characters(), min_size=1, max_size=40))
def test_any_passphrase_opens_its_own_lock_only(text: str) -> None:
    locked = lock(KEY, Passphrase(text), "vault", CHEAP)
    assert open_lock(locked, Passphrase(text), "vault") == KEY
    with pytest.raises(VaultWrongKey, match="passphrase does not open"):
        open_lock(locked, Passphrase(text + "x"), "vault")
    with pytest.raises(VaultWrongKey):
        open_lock(locked, Passphrase(text), "another vault")


def test_two_ways_to_type_one_passphrase() -> None:
    locked = lock(KEY, Passphrase("caf\u00e9"), "vault", CHEAP)
    assert open_lock(locked, Passphrase("cafe\u0301"), "vault") == KEY


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="passphrase is empty"):
        create_vault(tmp_path / "device", Passphrase(""), cost=CHEAP)
    assert not (tmp_path / "device" / VAULT_FILE).exists()


def test_a_passphrase_is_not_shown() -> None:
    assert "secret" not in repr(Passphrase("secret"))


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_kib": 1 << 30},
        {"iterations": 0},
        {"lanes": "4"},
        {"kind": "none"},
        {"extra": 1},
        {"salt": "%"},
        {"nonce": "AAAA"},
        {"key": 5},
    ],
)
def test_a_lock_that_makes_no_sense_is_not_believed(changes: dict[str, object]) -> None:
    told = json.loads(lock(KEY, SECRET, "vault", CHEAP)) | changes
    with pytest.raises(ValueError, match="not a lock"):
        open_lock(json.dumps(told), SECRET, "vault")


def test_a_key_file_opens_the_vault(tmp_path: Path) -> None:
    file = tmp_path / "key"
    make_key_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with create_vault(tmp_path / "device", KeyFile(file)) as vault:
        vault.save_user(a_user())
    with Vault(tmp_path / "device", unlock(tmp_path / "device", KeyFile(file))) as vault:
        assert len(vault.users()) == 1
    assert lock_kind(tmp_path / "device") == "key file"
    with pytest.raises(VaultWrongKey, match="with a key file, not with a passphrase"):
        unlock(tmp_path / "device", SECRET)
    make_key_file(tmp_path / "other")
    with pytest.raises(VaultWrongKey, match="key file does not open"):
        unlock(tmp_path / "device", KeyFile(tmp_path / "other"))


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    make_key_file(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        make_key_file(tmp_path / "key")
    with pytest.raises(UsageError, match="can't be written"):
        make_key_file(tmp_path / "gone" / "key")
    assert (tmp_path / "key").read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o620])
def test_a_key_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    make_key_file(file)
    create_vault(tmp_path / "device", KeyFile(file)).close()
    file.chmod(mode)
    with pytest.raises(UsageError, match=f"mode {mode:04o}.*chmod 600"):
        unlock(tmp_path / "device", KeyFile(file))


@pytest.mark.parametrize("length", [0, 31, 33, 5000])
def test_a_file_of_another_length_is_no_key_file(tmp_path: Path, length: int) -> None:
    file = tmp_path / "key"
    file.write_bytes(os.urandom(length))
    file.chmod(0o600)
    with pytest.raises(UsageError, match="no key file"):
        create_vault(tmp_path / "device", KeyFile(file))


def test_four_errors_and_a_fifth(tmp_path: Path) -> None:
    """Missing, locked, corrupt, wrong key, too new: none is another's kind."""
    path = closed_vault(tmp_path / "device")
    make_key_file(tmp_path / "key")
    create_vault(tmp_path / "other", KeyFile(tmp_path / "key")).close()
    (tmp_path / "key").unlink()
    found: dict[type[VaultError], str] = {}

    def refused(kind: type[VaultError], folder: Path, secret: Passphrase | KeyFile) -> None:
        with pytest.raises(VaultError) as caught:
            unlock(folder, secret)
        assert type(caught.value) is kind
        found[kind] = str(caught.value)

    refused(VaultMissing, tmp_path / "nowhere", SECRET)
    refused(VaultLocked, tmp_path / "other", KeyFile(tmp_path / "key"))
    refused(VaultWrongKey, tmp_path / "device", OTHER_SECRET)
    change(path, f"PRAGMA user_version = {FORMAT + 1}")
    refused(VaultTooNew, tmp_path / "device", SECRET)
    path.write_bytes(b"no database, " * 500)
    refused(VaultCorrupt, tmp_path / "device", SECRET)
    assert len({*found.values()}) == 5
    assert all("\n" not in sentence for sentence in found.values())
    assert "mien device init" in found[VaultMissing]
    assert "newer version" in found[VaultTooNew]
    assert "mien device restore" in found[VaultCorrupt]


@pytest.mark.parametrize("length", [0, 1, 99, 4096, 8192])
def test_a_file_cut_short_is_corrupt(tmp_path: Path, length: int) -> None:
    path = closed_vault(tmp_path)
    with path.open("r+b") as file:
        file.truncate(length)
    with pytest.raises(VaultCorrupt):
        Vault(tmp_path, unlock(tmp_path, SECRET)).damaged()


def test_another_programs_database_is_no_vault(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / VAULT_FILE)) as connection, connection:
        connection.execute("CREATE TABLE vault (one)")
    with pytest.raises(VaultCorrupt, match="no vault"):
        unlock(tmp_path, SECRET)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM vault",
        "UPDATE vault SET lock = substr(lock, 1, 50)",
        'UPDATE vault SET lock = replace(lock, \'"key": "\', \'"key": "A\')',
        "UPDATE vault SET id = 'x'",
        "UPDATE vault SET key_check = x'00'",
        "UPDATE vault SET checksum = x'00'",
        "UPDATE vault SET lock = 5",
        "DROP TABLE vault",
    ],
)
def test_a_damaged_lock_is_corrupt_and_not_a_wrong_key(tmp_path: Path, statement: str) -> None:
    path = closed_vault(tmp_path)
    change(path, statement)
    with pytest.raises(VaultCorrupt):
        unlock(tmp_path, SECRET)
    with pytest.raises(VaultCorrupt):
        Vault(tmp_path, KEY)


@pytest.mark.parametrize("key", [KEY, b"", b"short"])
def test_a_wrong_data_key_opens_nothing(tmp_path: Path, key: bytes) -> None:
    closed_vault(tmp_path)
    with pytest.raises(VaultWrongKey):
        Vault(tmp_path, key)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "device").write_text("in the way")
    with pytest.raises(WorkError, match=r"device can't be made a private folder \(.*\); choose"):
        new_vault(tmp_path / "device")
