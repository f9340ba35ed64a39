"""A vault of an older format is brought up to date, wholly or not at all."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from client.vault import migrations
from client.vault.schema import FORMAT, create_tables
from client.vault.vault import VAULT_FILE, Vault, VaultError, restore, unlock
from tests.client.vault.support import SECRET, a_clip, new_vault, some_arrays

FORMAT_1 = Path(__file__).with_name("format_1.sql")
"""Recorded when format 1 was current; never to be changed."""
DATA_KEY = bytes(range(32))
ADA, FIRST, SECOND = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / VAULT_FILE)) as connection:
        connection.executescript(FORMAT_1.read_text(encoding="ascii"))
    return tmp_path


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / VAULT_FILE)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {re.sub(r"\s+", "", sql) for (sql,) in rows}


def check_content(vault: Vault) -> None:
    (ada,) = vault.users()
    assert (ada.id, ada.name, ada.consent.federate) == (ADA, "Ada", True)
    second, first = vault.clips()
    assert (first.id, first.label, second.id, second.label) == (FIRST, 5, SECOND, None)
    assert vault.label_history(FIRST) == ((5, ""),)
    assert first.name == "clip-0.mp4"
    assert vault.arrays(SECOND).features.shape == (4, 5)
    assert [entry["round"] for entry in vault.ledger.entries()] == [1, 2]
    assert vault.personal(ADA) is not None
    assert vault.damaged() == ()


def test_format_1_opens_and_is_complete(old: Path) -> None:
    assert unlock(old, SECRET) == DATA_KEY
    for _ in range(2):
        with Vault(old, DATA_KEY) as vault:
            check_content(vault)
    assert version(old) == FORMAT


def test_a_migrated_vault_goes_on_as_a_new_one(old: Path, tmp_path: Path) -> None:
    with Vault(old, DATA_KEY) as vault:
        vault.label(SECOND, 2)
        assert vault.undo_label(SECOND) is None
        vault.add_clip(a_clip(vault.users()[0], 9), some_arrays())
        vault.ledger.append({"round": 3})
        assert len(list(vault.ledger.entries())) == 3
    with closing(sqlite3.connect(":memory:")) as fresh:
        create_tables(fresh)
        with closing(sqlite3.connect(old / VAULT_FILE)) as connection:
            assert tables(connection) == tables(fresh)


def test_a_backup_of_format_1_is_restored(old: Path, tmp_path: Path) -> None:
    (old / VAULT_FILE).rename(tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "new", SECRET)
    with Vault(tmp_path / "new", DATA_KEY) as vault:
        check_content(vault)
    assert version(tmp_path / "new") == FORMAT


def test_two_that_open_it_at_once_migrate_it_once(old: Path) -> None:
    with Vault(old, DATA_KEY) as one, Vault(old, DATA_KEY) as two:
        migrations.migrate(one._db, 1)
        check_content(one)
        check_content(two)


def test_a_damaged_row_says_what_to_do_and_changes_nothing(old: Path) -> None:
    with closing(sqlite3.connect(old / VAULT_FILE)) as connection, connection:
        connection.execute("UPDATE clips SET label = ? WHERE id = ?", (os.urandom(300), SECOND))
    with pytest.raises(VaultError, match=f"older format 1 .*row {SECOND} of clips.*restore"):
        Vault(old, DATA_KEY)
    assert version(old) == 1


def test_a_step_that_fails_leaves_the_old_format(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = migrations.STEPS[1]

    def failing(database):
        true(database)
        raise MemoryError

    monkeypatch.setattr(migrations, "STEPS", {1: failing})
    with pytest.raises(MemoryError):
        Vault(old, DATA_KEY)
    assert version(old) == 1
    monkeypatch.undo()
    with Vault(old, DATA_KEY) as vault:
        check_content(vault)


def test_every_older_format_has_a_step(tmp_path: Path) -> None:
    assert set(migrations.STEPS) == set(range(1, FORMAT))
    with new_vault(tmp_path):
        pass
    assert version(tmp_path) == FORMAT
