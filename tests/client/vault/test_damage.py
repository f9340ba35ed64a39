"""Values changed, swapped, moved or taken away behind the vault's back."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from client.ledger import LedgerBroken
from client.vault.errors import RowDamaged
from client.vault.schema import CLIPS, TABLES
from client.vault.vault import VAULT_FILE, Vault, VaultCorrupt, VaultError, unlock
from tests.client.vault.support import IDENTITY, SECRET, a_head, filled, new_vault

Damage = set[tuple[str, str]]


def reopened(folder: Path) -> Vault:
    return Vault(folder, unlock(folder, SECRET))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    with new_vault(folder) as vault:
        filled(vault, "Ada", "Ben")
        vault.save_universal(a_head(9))
        vault.set_setting("paused", False)
        for number in range(3):
            vault.ledger.append({"round": number})
        vault.log_error("a made-up error")
    return folder / VAULT_FILE


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    shutil.copy(template, tmp_path / VAULT_FILE)
    return tmp_path


def tamper(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / VAULT_FILE)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def ask(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / VAULT_FILE)) as connection:
        return connection.execute(query).fetchall()


def damage(folder: Path) -> Damage:
    with reopened(folder) as vault:
        return {(found.table, found.row) for found in vault.damaged()}


def flip(folder: Path, table: str, column: str, where: str) -> None:
    """Change one bit in the middle of a value."""
    with closing(sqlite3.connect(folder / VAULT_FILE)) as connection, connection:
        query = f"SELECT {column} FROM {table} WHERE {where}"
        value = bytearray(connection.execute(query).fetchone()[0])
        value[len(value) // 2] ^= 1
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes(value),))


def rows_of(folder: Path, table: str, key: str) -> list[object]:
    return [row[0] for row in ask(folder, f"SELECT {key} FROM {table} ORDER BY rowid")]


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in TABLES for column in table.sealed]
)
def test_one_bit_in_any_value_is_seen_and_named(folder: Path, table, column) -> None:
    row = rows_of(folder, table.name, table.key)[0]
    flip(folder, table.name, column, f"{table.key} = {row!r}")
    assert damage(folder) == {(table.name, str(row))}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("value", ["NULL", "x''", "'text'"])
def test_a_value_that_is_none_is_damaged(folder: Path, table, value: str) -> None:
    tamper(
        folder,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'BLOB NOT NULL', 'BLOB')",
    )
    row = rows_of(folder, table.name, table.key)[0]
    where = f"WHERE {table.key} = {row!r}"
    tamper(folder, f"UPDATE {table.name} SET {table.sealed[-1]} = {value} {where}")
    assert damage(folder) == {(table.name, str(row))}


def test_a_damaged_row_leaves_all_others_readable(folder: Path) -> None:
    with reopened(folder) as vault:
        before = vault.clips()
        ada, ben = vault.users()
    broken, *others = before
    flip(folder, "clips", "answer", f"id = '{broken.id}'")
    flip(folder, "users", "about", f"id = '{ada.id}'")
    flip(folder, "gallery", "entry", f"user = '{ben.id}'")
    flip(folder, "heads", "arrays", f"owner = '{ada.id}'")
    with reopened(folder) as vault:
        assert vault.clips() == tuple(others)
        assert vault.users() == (ben,)
        assert {entry.user for entry in vault.gallery(IDENTITY)} == {ada.id}
        assert vault.personal(ben.id) is not None
        assert {(d.table, d.row) for d in vault.noticed} >= {
            ("clips", broken.id),
            ("users", ada.id),
        }
        for lookup, value in (
            (vault.clip, broken.id),
            (vault.user, "Ada"),
            (vault.user_by_id, ada.id),
            (vault.personal, ada.id),
        ):
            with pytest.raises(RowDamaged, match="damaged and can't be decrypted"):
                lookup(value)
        assert vault.arrays(broken.id).features.shape == (4, 5)
        vault.forget(ada.id)
        assert {d.table for d in vault.damaged()} == {"gallery", "clips"}


def test_damaged_rows_can_be_discarded(folder: Path) -> None:
    with reopened(folder) as vault:
        ada, ben = vault.users()
        broken = vault.clips(user=ben.id)[0]
    flip(folder, "users", "about", f"id = '{ada.id}'")
    flip(folder, "clips", "label", f"id = '{broken.id}'")
    flip(folder, "heads", "about", "owner = ''")
    flip(folder, "ledger", "entry", "number = 2")
    with reopened(folder) as vault:
        assert vault.discard_damaged() == {"users": 1, "clips": 1, "heads": 1}
        assert [(d.table, d.row) for d in vault.damaged()] == [("ledger", "2")]
        assert (vault.users(), vault.noticed) == ((ben,), ())
        assert len(vault.clips()) == 2
        assert vault.universal() is None
        assert vault.personal(ben.id) is not None
        assert vault.remains([ada.id.encode(), broken.id.encode()]) == 0
        assert vault.discard_damaged() == {}


def test_swapped_rows_are_seen(folder: Path) -> None:
    one, two = rows_of(folder, "clips", "id")[:2]
    for column in CLIPS.sealed:
        (first,), (second,) = ask(
            folder, f"SELECT hex({column}) FROM clips WHERE id IN ('{one}', '{two}') ORDER BY rowid"
        )
        tamper(
            folder,
            f"UPDATE clips SET {column} = x'{second}' WHERE id = '{one}'",
            f"UPDATE clips SET {column} = x'{first}' WHERE id = '{two}'",
        )
        assert damage(folder) == {("clips", str(one)), ("clips", str(two))}
        tamper(
            folder,
            f"UPDATE clips SET {column} = x'{first}' WHERE id = '{one}'",
            f"UPDATE clips SET {column} = x'{second}' WHERE id = '{two}'",
        )
        assert damage(folder) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE clips SET label = answer",
        "UPDATE clips SET about = label",
        "UPDATE clips SET user = (SELECT id FROM users ORDER BY number DESC LIMIT 1)",
        "UPDATE clips SET id = '{fresh}'",
        "UPDATE users SET id = '{fresh}'",
        "UPDATE heads SET owner = '{fresh}'",
        "UPDATE heads SET arrays = about",
        "UPDATE settings SET id = '{fresh}'",
        "UPDATE settings SET user = '{fresh}'",
        "UPDATE gallery SET user = (SELECT id FROM users ORDER BY number DESC LIMIT 1)",
        "UPDATE errors SET number = 77",
        "UPDATE users SET name_hash = x'00112233445566778899aabbccddeeff'",
        "UPDATE clips SET digest_hash = x'00112233445566778899aabbccddeeff'",
        "UPDATE settings SET name_hash = x'00112233445566778899aabbccddeeff'",
    ],
)
def test_moved_values_are_seen(folder: Path, statement: str) -> None:
    table = statement.split()[1]
    first = f" WHERE rowid = (SELECT min(rowid) FROM {table})"
    tamper(folder, statement.replace("{fresh}", "f" * 32) + first)
    found = damage(folder)
    assert len(found) == 1
    assert next(iter(found))[0] == table


def test_a_value_of_another_vault_is_seen(folder: Path, tmp_path: Path) -> None:
    """The same data key would not help: the vault's id is part of what a value is bound to."""
    with new_vault(tmp_path / "other") as other:
        ada = filled(other, "Ada")[0]
    ((value,),) = ask(tmp_path / "other", f"SELECT hex(about) FROM users WHERE id = '{ada.id}'")
    ids = rows_of(folder, "users", "id")
    tamper(folder, f"UPDATE users SET about = x'{value}', id = '{ada.id}' WHERE id = '{ids[0]}'")
    assert damage(folder) == {("users", ada.id)}


def test_ids_that_are_no_text_do_not_stop_a_listing(folder: Path) -> None:
    tamper(folder, "UPDATE clips SET id = x'ff00ff' WHERE number = 1")
    tamper(folder, "UPDATE clips SET id = cast(x'ff00ff80' AS TEXT) WHERE number = 2")
    with reopened(folder) as vault:
        assert len(vault.clips()) == 4
        assert len(vault.damaged()) == 2


def entries(folder: Path) -> list[object]:
    with reopened(folder) as vault:
        return [entry["round"] for entry in vault.ledger.entries()]


def append(folder: Path) -> None:
    with reopened(folder) as vault:
        vault.ledger.append({"round": 3})


LEDGER_ATTACKS: dict[str, Callable[[Path], None]] = {
    "last entry cut off": lambda f: tamper(f, "DELETE FROM ledger WHERE number = 3"),
    "all cut off": lambda f: tamper(f, "DELETE FROM ledger"),
    "end forgotten": lambda f: tamper(f, "DELETE FROM seals"),
    "all and end forgotten": lambda f: tamper(f, "DELETE FROM ledger", "DELETE FROM seals"),
    "last entry changed": lambda f: flip(f, "ledger", "entry", "number = 3"),
    "end changed": lambda f: flip(f, "seals", "value", "name = 'ledger'"),
    "last entry doubled": lambda f: tamper(
        f, "INSERT INTO ledger SELECT 4, entry FROM ledger WHERE number = 3"
    ),
    "numbers moved": lambda f: tamper(f, "UPDATE ledger SET number = number + 5"),
}
INNER_ATTACKS: dict[str, Callable[[Path], None]] = {
    "first entry cut off": lambda f: tamper(f, "DELETE FROM ledger WHERE number = 1"),
    "one in the middle cut off": lambda f: tamper(f, "DELETE FROM ledger WHERE number = 2"),
    "one in the middle changed": lambda f: flip(f, "ledger", "entry", "number = 2"),
    "order changed": lambda f: tamper(
        f,
        "UPDATE ledger SET number = -1 WHERE number = 1",
        "UPDATE ledger SET number = 1 WHERE number = 2",
        "UPDATE ledger SET number = 2 WHERE number = -1",
    ),
}


@pytest.mark.parametrize("attack", [*LEDGER_ATTACKS, *INNER_ATTACKS])
def test_a_ledger_that_was_touched_is_broken(folder: Path, attack: str) -> None:
    assert entries(folder) == [0, 1, 2]
    {**LEDGER_ATTACKS, **INNER_ATTACKS}[attack](folder)
    with pytest.raises(LedgerBroken, match="ledger"):
        entries(folder)
    assert {table for table, _ in damage(folder)} & {"ledger", "seals"}


@pytest.mark.parametrize("attack", LEDGER_ATTACKS)
def test_nothing_is_appended_to_a_ledger_whose_end_was_touched(folder: Path, attack: str) -> None:
    LEDGER_ATTACKS[attack](folder)
    with pytest.raises(LedgerBroken):
        append(folder)


def test_an_older_end_with_an_older_ledger_is_seen_unless_all_is_older(folder: Path) -> None:
    """Only a whole older copy would pass: no file can know of its own future."""
    ((tip,),) = ask(folder, "SELECT hex(value) FROM seals")
    append(folder)
    tamper(folder, f"UPDATE seals SET value = x'{tip}'")
    with pytest.raises(LedgerBroken):
        entries(folder)
    tamper(folder, "DELETE FROM ledger WHERE number = 4")
    assert entries(folder) == [0, 1, 2]


def test_a_ledger_entry_is_never_part_of_something_larger(folder: Path) -> None:
    with reopened(folder) as vault:
        with pytest.raises(RuntimeError, match="durable"), vault.transaction():
            vault.ledger.append({"round": 3})
        assert len(list(vault.ledger.entries())) == 3


def test_the_ledger_is_the_plain_ledgers_chain(folder: Path) -> None:
    from client.ledger import Ledger

    plain = Ledger(folder / "ledger.jsonl")
    for number in range(3):
        plain.append({"round": number})
    with reopened(folder) as vault:
        assert list(vault.ledger.entries()) == list(plain.entries())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(place=0.01977865017085012, value=128)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_any_byte_of_the_file(folder: Path, place: float, value: int) -> None:
    """Whatever byte is changed: one clear sentence, or everything still true is readable."""
    with reopened(folder) as vault:
        users, clips = vault.users(), vault.clips()
    path = folder / VAULT_FILE
    whole = path.read_bytes()
    offset = int(place * len(whole))
    path.write_bytes(whole[:offset] + bytes([whole[offset] ^ value]) + whole[offset + 1 :])
    sentence = ""
    try:
        with reopened(folder) as vault:
            broken = vault.damaged()
            assert {user.id for user in vault.users()} <= {user.id for user in users}
            assert len(vault.clips()) >= 6 - len(broken)
            if not broken:
                assert (vault.users(), vault.clips()) == (users, clips)
                assert vault.user("Ada") == users[0]
                assert vault.clip_by_digest(clips[0].digest) == clips[0]
                assert len(list(vault.ledger.entries())) == 3
    except VaultError as error:
        sentence = str(error)
    finally:
        path.write_bytes(whole)
        for ending in ("-wal", "-shm"):
            (folder / f"{VAULT_FILE}{ending}").unlink(missing_ok=True)
    assert "\n" not in sentence


def test_a_damaged_page_is_the_files_and_not_a_rows(folder: Path) -> None:
    path = folder / VAULT_FILE
    whole = bytearray(path.read_bytes())
    for page in range(2, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(whole)
    with pytest.raises(VaultCorrupt, match="mien device restore"), reopened(folder) as vault:
        vault.damaged()
