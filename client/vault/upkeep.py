"""Erasing, checking, rekeying and copying a vault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from client.ledger import LedgerBroken
from client.vault.cipher import Cipher, Plain, Unreadable
from client.vault.copies import check_pages, copy_database, replace_whole
from client.vault.database import Database, Lock, shown
from client.vault.encoding import decode_json
from client.vault.errors import RowDamaged, VaultBusy, VaultFull
from client.vault.keys import RECOMMENDED, Argon2Cost, Secret, lock, new_data_key
from client.vault.ledger import VaultLedger
from client.vault.part import VaultPart
from client.vault.schema import LEDGER, SEALS, TABLES, USERS, Table
from common.errors import UsageError, WorkError

_SEARCH: Final = """
import json, sys
asked = json.load(sys.stdin)
wanted = {bytes.fromhex(each) for each in asked["markers"]}
longest = max(map(len, wanted), default=1)
found = set()
for ending in ("", "-wal", "-shm"):
    try:
        file = open(asked["path"] + ending, "rb")
    except FileNotFoundError:
        continue
    tail = b""
    while piece := file.read(1 << 20):
        piece = tail + piece
        found |= {each for each in wanted - found if each in piece}
        tail = piece[-longest:]
print(len(found))
"""
_STAY: Final = (
    "old encrypted pages stay in its log until that ends; end it and give the same command again"
)
_OF_A_USER: Final = ("clips", "gallery", "settings")


class Upkeep(VaultPart):
    """The part of `Vault` that concerns the whole of it."""

    def forget(self, user: str) -> dict[str, int]:
        """Erase all that is kept of a user; deleted pages are wiped and the log is emptied.

        What a disk's wear levelling keeps, and backups, are out of reach; so are updates of the
        universal head that have left the device. The ledger names no user and stays; the error
        log, which may, goes as a whole.

        Args:
            user: id.

        Returns:
            Rows erased, by table.

        Raises:
            VaultBusy, VaultFull: it is erased, but old encrypted pages stay in the log, since
                another process reads them or there is no room to move new ones; says so.
            RuntimeError: called inside a transaction.
        """
        self._check_outside()
        with self._db.writing() as connection:
            gone = {
                table: connection.execute(f"DELETE FROM {table} WHERE user = ?", (user,)).rowcount
                for table in _OF_A_USER
            }
            gone["heads"] = connection.execute(
                "DELETE FROM heads WHERE owner = ? AND owner <> ''", (user,)
            ).rowcount
            gone["users"] = connection.execute("DELETE FROM users WHERE id = ?", (user,)).rowcount
            if gone["users"]:
                connection.execute("DELETE FROM errors")
        self._wipe_log()
        return gone

    def _check_outside(self) -> None:
        if self._db.in_transaction:
            raise RuntimeError("old pages are wiped at once: call it outside transactions")

    def wipe(self) -> None:
        """Leave nothing of what was deleted or replaced in the vault's files.

        Raises:
            VaultBusy, VaultFull: another process reads the vault, or the disk is full: old
                encrypted pages stay until that ends.
            RuntimeError: inside a transaction.
        """
        self._check_outside()
        self._wipe_log()

    def _wipe_log(self) -> None:
        """Leave no old page: not in the log, nor in what a killed restore left."""
        path = self._db.path
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink(missing_ok=True)
        try:
            if self._db.truncate_log():
                return
        except VaultFull as error:
            raise VaultFull(f"{path}: it is done, but the disk is full, and {_STAY}") from error
        raise VaultBusy(f"{path}: it is done, but another process reads the vault, and {_STAY}")

    def damaged(self) -> tuple[RowDamaged, ...]:
        """Every damaged row; the ledger's is the first entry that does not fit.

        Raises:
            VaultCorrupt: the file itself is damaged, not only values in it.
        """
        found: dict[tuple[str, str], RowDamaged] = {}
        with self._db.reading() as connection:
            check_pages(connection, self._db.path)
            for table in TABLES:
                for key in map(shown, self._damaged_keys(table)):
                    found[table.name, key] = RowDamaged(table.name, key)
        try:
            VaultLedger(self._db).entries()
        except LedgerBroken:
            if not any(table in ("ledger", "seals") for table, _ in found):
                found["ledger", "?"] = RowDamaged("ledger", "?")
        return tuple(found.values())

    def discard_damaged(self) -> dict[str, int]:
        """Erase the rows that `damaged` names, so that the device can go on without them.

        With a user's row goes all that is the user's. The ledger is left as it is: a broken one
        must not be mended in secret.

        Returns:
            Damaged rows erased, by table.

        Raises:
            VaultCorrupt: the file itself is damaged.
            VaultBusy, VaultFull, RuntimeError: as for `forget`.
        """
        self._check_outside()
        gone: dict[str, int] = {}
        with self._db.writing() as connection:
            check_pages(connection, self._db.path)
            for table in TABLES:
                keys = [] if table in (LEDGER, SEALS) else self._damaged_keys(table)
                for key in keys:
                    connection.execute(f"DELETE FROM {table.name} WHERE {table.key} = ?", (key,))
                    if table is USERS:
                        connection.execute("DELETE FROM settings WHERE user = ?", (key,))
                        connection.execute("DELETE FROM heads WHERE owner = ?", (key,))
                if keys:
                    gone[table.name] = len(keys)
        self._wipe_log()
        self._noticed.clear()
        return gone

    def _damaged_keys(self, table: Table) -> list[Any]:
        found = []
        hashed = table.hashed[:1] if table.hashed else ()
        for place, values in self._db.rows(table, (*table.sealed, *hashed)):
            sealed, told = values[: len(table.sealed)], values[len(table.sealed) :]
            try:
                opened = self._db.opened(table, table.sealed, place, sealed, _contents)
            except RowDamaged:
                found.append(place[0])
                continue
            true = _hashed_anew(
                table, dict(zip(table.sealed, opened[-len(sealed) :], strict=True)), self._db.cipher
            )
            if told != tuple(true.values()):
                found.append(place[0])
        return found

    def remains(self, markers: Iterable[bytes]) -> int:
        """How many byte strings, such as ids, stand anywhere in the vault's files.

        Another process looks: one that opens and closes a file which it also has open in SQLite
        loses SQLite's locks on it (see "How To Corrupt An SQLite Database File", section 2.2).

        Raises:
            WorkError: the files can't be read.
        """
        wanted = {
            "path": str(self._db.path.resolve()),
            "markers": sorted({each.hex() for each in markers}),
        }
        command = [sys.executable, "-I", "-S", "-c", _SEARCH]
        told = json.dumps(wanted).encode()
        done = subprocess.run(command, input=told, capture_output=True, check=False)
        if done.returncode:
            raise WorkError(f"{self._db.path} can't be searched for what is left of a user")
        return int(done.stdout)

    def rekey(self, new: Secret, *, cost: Argon2Cost = RECOMMENDED) -> bytes:
        """Lock the vault with another secret and encrypt every value with a new data key.

        One transaction: whatever happens, either the old secret opens all of it or the new one.
        Values that were damaged already are emptied, and stay reported as damaged.

        Returns:
            The new data key.

        Raises:
            UsageError, VaultLocked: the new secret is not in order.
            VaultBusy, VaultFull: it is done, but old pages stay in the log, as for `forget`.
            RuntimeError: called inside a transaction.
        """
        self._check_outside()
        data_key = new_data_key()
        locked = lock(data_key, new, self._db.vault_id, cost)
        cipher = Cipher(data_key, self._db.vault_id)
        with self._db.alone():
            with self._db.writing() as connection:
                for table in TABLES:
                    _seal_anew(self._db, table, cipher)
                Lock(self._db.vault_id, locked, cipher.check).write(connection)
            self._db.cipher = cipher
        self._wipe_log()
        return data_key

    def backup(self, target: Path) -> None:
        """Copy the vault as it is now to one file (mode 0600), encrypted as it is.

        Others may read and write meanwhile. The file appears whole or not at all.

        Raises:
            UsageError: the target is the vault itself or a folder.
            WorkError: it can't be written; the target is as it was.
        """
        if target.is_dir() or (target.exists() and target.samefile(self._db.path)):
            raise UsageError(f"{target} can't hold the backup: name a file beside the vault")
        replace_whole(target, lambda file: copy_database(self._db.path, file, named=target))


def _seal_anew(database: Database, table: Table, cipher: Cipher) -> None:
    """Encrypt a table's values with another key, row by row."""
    keys = [place[0] for place, _ in database.rows(table, ())]
    for key in keys:
        condition = f"WHERE {table.key} = ?"
        ((place, sealed),) = database.rows(table, table.sealed, condition, (key,))
        values = {
            column: _opened(database.cipher, table, column, place, value)
            for column, value in zip(table.sealed, sealed, strict=True)
        }
        changed = {
            column: b"" if value is None else cipher.seal(table.name, column, place, value)
            for column, value in values.items()
        } | _hashed_anew(table, values, cipher)
        changes = ", ".join(f"{column} = ?" for column in changed)
        database.connection.execute(
            f"UPDATE {table.name} SET {changes} {condition}", (*changed.values(), key)
        )


def _opened(
    cipher: Cipher, table: Table, column: str, place: tuple[Plain, ...], sealed: object
) -> bytes | None:
    try:
        return cipher.open(table.name, column, place, sealed)
    except Unreadable:
        return None


def _hashed_anew(table: Table, values: dict[str, bytes | None], cipher: Cipher) -> dict[str, bytes]:
    if table.hashed is None:
        return {}
    column, source, name = table.hashed
    content = values[source]
    if content is None:
        return {column: os.urandom(len(cipher.check))}
    return {column: cipher.hashed(column, decode_json(content)[name])}


def _contents(*values: Any) -> tuple[Any, ...]:
    return values
