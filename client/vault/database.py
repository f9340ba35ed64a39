"""One vault's file: opened and checked, its transactions, and sealed rows in and out.

There is one SQLite connection, guarded by a lock, so that an object may be used from several
threads; a transaction keeps other threads waiting. Other processes open the file themselves.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from client.vault.cipher import Cipher, Plain, Unreadable
from client.vault.errors import (
    RowDamaged,
    VaultCorrupt,
    VaultFull,
    VaultMissing,
    VaultTooNew,
    VaultWrongKey,
    explained,
)
from client.vault.schema import APPLICATION, FORMAT, Table

VAULT_FILE: Final = "vault.db"
PATIENCE_SECONDS: Final = 10.0
"""How long a process waits for another one's transaction before it gives up."""

Value = TypeVar("Value")
Values = Mapping[str, bytes]


@dataclass(frozen=True)
class Lock:
    """The vault's one row about itself."""

    id: str
    lock: str
    key_check: bytes

    @property
    def checksum(self) -> bytes:
        """Tells a damaged row from a wrong key; it is no protection against intent."""
        told = (text.encode("utf-8", "surrogateescape") for text in (self.id, self.lock))
        return hashlib.sha256(b"\x1f".join((*told, self.key_check))).digest()

    def write(self, connection: sqlite3.Connection) -> None:
        """Put the row in place of the one that is there."""
        connection.execute(
            "INSERT OR REPLACE INTO vault (one, id, lock, key_check, checksum) "
            "VALUES (1, ?, ?, ?, ?)",
            (self.id, self.lock, self.key_check, self.checksum),
        )


def connect(
    path: Path, patience: float = PATIENCE_SECONDS, *, mode: str = "rw"
) -> sqlite3.Connection:
    """A connection that commits only when told to, to a file that is there ("rw" or "ro").

    Raises:
        VaultMissing: there is no such file.
        VaultCorrupt, VaultTooNew: as in `check_format`.
    """
    if not path.is_file():
        raise VaultMissing(f"there is no vault in {path.parent}; make one with mien device init")
    with explained(path):
        connection = sqlite3.connect(
            path.resolve().as_uri() + f"?mode={mode}",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
        )
    try:
        try:
            check_format(connection, path)
        except VaultFull:  # no room for the index of the log, which several processes share
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            check_format(connection, path)
    except BaseException:
        connection.close()
        raise
    connection.text_factory = _lenient
    return connection


def check_format(connection: sqlite3.Connection, path: Path) -> int:
    """The vault's format.

    Raises:
        VaultCorrupt: the file is no vault, or damaged.
        VaultTooNew: its format is newer than this version of Mien knows.
    """
    try:
        with explained(path):
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except UnicodeDecodeError:  # SQLite quotes what it can't read
        application = None
    if application != APPLICATION or version < 1:
        raise VaultCorrupt(
            f"{path} is no vault or damaged; get a backup back with mien device restore"
        )
    if version > FORMAT:
        raise VaultTooNew(
            f"{path} has format {version}, and this version of Mien knows formats up to {FORMAT}; "
            "install the newer version that wrote it"
        )
    return int(version)


def read_lock(connection: sqlite3.Connection, path: Path) -> Lock:
    """The vault's row about itself.

    Raises:
        VaultCorrupt: it is missing or damaged.
    """
    with explained(path):
        row = connection.execute("SELECT id, lock, key_check, checksum FROM vault").fetchone()
    kinds = (str, str, bytes, bytes)
    if row is not None and all(
        isinstance(value, kind) for value, kind in zip(row, kinds, strict=True)
    ):
        lock = Lock(*row[:3])
        if lock.checksum == row[3]:
            return lock
    raise VaultCorrupt(
        f"{path}: the key that the vault is locked with is damaged; get a backup back with "
        "mien device restore"
    )


class Database:
    """Transactions and sealed rows of one open vault."""

    def __init__(self, path: Path, data_key: bytes, patience: float = PATIENCE_SECONDS) -> None:
        self.path = path
        self._patience = patience
        self._guard = threading.RLock()
        self._depth = 0
        self.connection = connect(path, patience)
        try:
            self.cipher = self._checked_cipher(data_key)
            self._prepare()
        except BaseException:
            self.connection.close()
            raise

    def _checked_cipher(self, data_key: bytes) -> Cipher:
        lock = read_lock(self.connection, self.path)
        self.vault_id = lock.id
        cipher = Cipher(data_key, lock.id)
        if cipher.check != lock.key_check:
            raise VaultWrongKey(f"{self.path}: the data key is not this vault's")
        return cipher

    def _prepare(self) -> None:
        """Durable commits, wiped deletions, and no temporary file."""
        with explained(self.path):
            for setting in (
                "journal_mode = WAL",
                "synchronous = FULL",
                "fullfsync = ON",
                "secure_delete = ON",
                "foreign_keys = ON",
                "temp_store = MEMORY",
                "wal_autocheckpoint = 256",  # pages: about 1 MB waits to be moved
                "journal_size_limit = 1048576",
            ):
                self.connection.execute(f"PRAGMA {setting}").fetchall()

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        with self._guard:
            self.connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is written inside, on the disk when the outermost one ends.

        An inner one that fails takes only its own writes back, should the error be caught.

        Raises:
            VaultBusy, VaultFull, VaultCorrupt: nothing was written then.
            VaultWrongKey: another process has given the vault a new key meanwhile.
        """
        with self._guard, explained(self.path):
            if self._depth:
                begin, keep, drop = _savepoint(self._depth)
            else:
                begin, keep, drop = "BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",)
            with self._within(begin, keep, drop):
                yield self.connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the vault, whatever others write meanwhile.

        Raises:
            VaultBusy, VaultCorrupt, VaultWrongKey: see `writing`.
        """
        with self._guard, explained(self.path):
            if self._depth:
                yield self.connection
                return
            with self._within("BEGIN", "COMMIT", ("ROLLBACK",)):
                yield self.connection

    @contextmanager
    def _within(self, begin: str, keep: str, drop: tuple[str, ...]) -> Iterator[None]:
        self.connection.execute(begin)
        self._depth += 1
        try:
            if self._depth == 1:
                self._check_key()
            yield
            self.connection.execute(keep)
        except BaseException:
            if self.connection.in_transaction:  # SQLite has taken it back itself on a full disk
                for statement in drop:
                    self.connection.execute(statement)
            raise
        finally:
            self._depth -= 1

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside a transaction; waits until no other thread is."""
        with self._guard:
            return self._depth > 0

    def _check_key(self) -> None:
        """A vault that another process has rekeyed would be read as damaged, or written wrongly."""
        row = self.connection.execute("SELECT key_check FROM vault").fetchone()
        if row is None or row[0] != self.cipher.check:
            raise VaultWrongKey(
                f"{self.path}: the vault has a new key since it was opened here; unlock it again"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other threads out."""
        with self._guard:
            yield

    def truncate_log(self, *, patience: float | None = None) -> bool:
        """Move all pages from the log to the file and empty the log; False if others read it.

        Args:
            patience: seconds to wait for others; by default as long as for a transaction.

        Raises:
            VaultFull: there is no room for the pages in the file; they stay in the log.
        """
        seconds = self._patience if patience is None else patience
        with self._guard, explained(self.path):
            execute = self.connection.execute
            execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}").fetchall()
            try:
                row = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                execute(f"PRAGMA busy_timeout = {round(self._patience * 1000)}").fetchall()
            return bool(row[0] == 0)

    def insert(self, table: Table, plain: Mapping[str, object], sealed: Values) -> None:
        """Write a new row."""
        self._write(table, plain, sealed, "")

    def put(self, table: Table, plain: Mapping[str, object], sealed: Values) -> None:
        """Write a row in place of the one with the same key."""
        changed = [name for name in (*plain, *sealed) if name != table.key]
        changes = ", ".join(f"{name} = excluded.{name}" for name in changed)
        self._write(table, plain, sealed, f"ON CONFLICT ({table.key}) DO UPDATE SET {changes}")

    def _write(
        self, table: Table, plain: Mapping[str, object], sealed: Values, otherwise: str
    ) -> None:
        place = tuple(plain[name] for name in (table.key, *table.bound))
        values = dict(plain) | {
            column: self.cipher.seal(table.name, column, place, value)  # type: ignore[arg-type]
            for column, value in sealed.items()
        }
        marks = ", ".join("?" * len(values))
        with self.writing() as connection:
            connection.execute(
                f"INSERT INTO {table.name} ({', '.join(values)}) VALUES ({marks}) {otherwise}",
                tuple(values.values()),
            )

    def change(self, table: Table, key: Plain, column: str, value: bytes) -> None:
        """Write one sealed value of a row that is there."""
        with self.writing() as connection:
            row = self.place(table, key)
            sealed = self.cipher.seal(table.name, column, row, value)
            connection.execute(
                f"UPDATE {table.name} SET {column} = ? WHERE {table.key} = ?", (sealed, key)
            )

    def place(self, table: Table, key: Plain) -> tuple[Plain, ...]:
        """A row's key and bound columns as they stand in the table."""
        columns = ", ".join((table.key, *table.bound))
        found = self.connection.execute(
            f"SELECT {columns} FROM {table.name} WHERE {table.key} = ?", (key,)
        ).fetchone()
        return tuple(found)

    def rows(
        self, table: Table, columns: tuple[str, ...], where: str = "", given: tuple[Any, ...] = ()
    ) -> Iterator[tuple[tuple[Any, ...], tuple[object, ...]]]:
        """Rows as they are on the disk: key and bound columns, and the sealed ones asked for."""
        plain = (table.key, *table.bound)
        names = ", ".join((*plain, *columns))
        query = f"SELECT {names} FROM {table.name} {where}"
        for row in self.connection.execute(query, given):
            yield row[: len(plain)], row[len(plain) :]

    def opened(
        self,
        table: Table,
        columns: tuple[str, ...],
        place: tuple[Plain, ...],
        sealed: tuple[object, ...],
        decode: Callable[..., Value],
    ) -> Value:
        """A row's record: `decode(*place, *values)`.

        Raises:
            RowDamaged: a value can't be opened in this place, or holds no such record.
        """
        try:
            values = [
                self.cipher.open(table.name, column, place, value)
                for column, value in zip(columns, sealed, strict=True)
            ]
            return decode(*place, *values)
        except (Unreadable, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise RowDamaged(table.name, shown(place[0])) from error


def shown(key: object) -> str:
    """A row's key as it can be printed, whatever has become of it."""
    return str(key).encode("unicode_escape").decode("ascii")


def _savepoint(depth: int) -> tuple[str, str, tuple[str, ...]]:
    name = f"inner_{depth}"
    return f"SAVEPOINT {name}", f"RELEASE {name}", (f"ROLLBACK TO {name}", f"RELEASE {name}")


def _lenient(text: bytes) -> str:
    """A damaged id must not stop a listing."""
    return text.decode("utf-8", "surrogateescape")
