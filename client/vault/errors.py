"""What can go wrong with a vault, each with its own error; and SQLite's errors in plain words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import UsageError, WorkError


class VaultError(WorkError):
    """Base of all errors of a vault that is there, or should be."""


class VaultMissing(VaultError):
    """There is no vault in the folder."""


class VaultExists(UsageError):
    """A vault would be overwritten."""


class VaultLocked(VaultError):
    """No passphrase and no key file is at hand."""


class VaultWrongKey(VaultError):
    """The passphrase, key file or data key does not open this vault."""


class VaultCorrupt(VaultError):
    """The file is no vault, or so damaged that it can't be opened."""


class VaultTooNew(VaultError):
    """A newer version of Mien has written the vault."""


class VaultBusy(VaultError):
    """Another process was writing for longer than this one would wait."""


class VaultFull(VaultError):
    """The disk is full or refuses to be written to; the vault is as it was before."""


class RowDamaged(VaultError):
    """One row can't be decrypted or is not where it was written; the others are not concerned.

    Attributes:
        table: of the row.
        row: its id, "?" where even that can't be read.
    """

    def __init__(self, table: str, row: str) -> None:
        self.table = table
        self.row = row
        super().__init__(
            f"row {row} of the vault's {table} is damaged and can't be decrypted; all other rows "
            "are readable, and a backup may still have this one (mien device restore)"
        )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as sentences about the vault at `path`.

    Raises:
        VaultBusy, VaultFull, VaultCorrupt, VaultError: by SQLite's result code.
    """
    try:
        yield
    except sqlite3.Error as error:
        told = _told(path, error)
        if told is None:
            raise
        raise told from error


_WRITING = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMMAP,
}


_OF_THE_FILE = ("no such table", "no such column", "unsupported file format", "malformed")


def _told(path: Path, error: sqlite3.Error) -> VaultError | None:
    """The sentence for an error that has to do with the file, None for a mistake in the program."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL or code in _WRITING:
        return VaultFull(
            f"{path}: the disk is full or can't be written to, so this change was not kept; "
            "free some space and try again"
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return VaultBusy(
            f"{path}: another process is using the vault; wait until it is done and try again"
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT) or (
        primary == sqlite3.SQLITE_ERROR and any(words in str(error) for words in _OF_THE_FILE)
    ):
        return VaultCorrupt(
            f"{path} is damaged or no vault; get a backup back with mien device restore"
        )
    if primary in (
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
    ):
        return VaultError(
            f"{path} can't be opened for reading and writing ({error}); check the disk and whose "
            "file it is"
        )
    return None
