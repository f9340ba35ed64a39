"""Vault files as wholes: put in place, copied while in use, replaced."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from client.vault.database import Lock, connect, read_lock
from client.vault.errors import VaultBusy, VaultCorrupt, explained
from common.errors import WorkError
from common.files import PRIVATE_FILE, sync

Fill = Callable[[Path], object]


def place_new(target: Path, fill: Fill) -> None:
    """Let `fill` write a private temporary file beside `target`, then give it that name.

    Raises:
        FileExistsError: there is such a file already; it is left alone.
        WorkError: there is no room or no right to write.
    """
    with _filled(target, fill) as temporary:
        os.link(temporary, target)  # unlike a rename, never over another file


def replace_whole(target: Path, fill: Fill, *, just_before: Fill = lambda target: None) -> None:
    """Let `fill` write a private temporary file beside `target`, then put it in its place.

    Args:
        target: to be replaced, if it is there.
        fill: writes the file it is given.
        just_before: called with the target before it is replaced.

    Raises:
        WorkError: there is no room or no right to write; `target` is as it was.
    """
    with _filled(target, fill) as temporary:
        just_before(target)
        temporary.replace(target)


@contextmanager
def _filled(target: Path, fill: Fill) -> Iterator[Path]:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        temporary = Path(name)
        try:
            os.close(handle)
            fill(temporary)
            temporary.chmod(PRIVATE_FILE)
            sync(temporary)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
        sync(target.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise WorkError(
            f"{target} can't be written ({error.strerror}); nothing was kept"
        ) from error


def copy_database(source: Path, target: Path, *, named: Path) -> None:
    """Copy one state of a vault that may be in use into an empty file, in errors called `named`.

    Raises:
        VaultFull, VaultCorrupt: of the target and the source.
    """
    with (
        closing(connect(source)) as reader,
        explained(named),
        closing(sqlite3.connect(target, isolation_level=None)) as writer,
    ):
        writer.execute("PRAGMA synchronous = OFF")  # the file is synced as a whole
        writer.execute("PRAGMA journal_mode = MEMORY").fetchall()
        reader.backup(writer)
        writer.execute("PRAGMA journal_mode = DELETE").fetchall()


def checked_lock(path: Path) -> Lock:
    """A backup's row about itself, once the file as a whole is found sound.

    Raises:
        VaultMissing, VaultCorrupt, VaultTooNew: it is no sound vault of a known format.
    """
    with closing(connect(path)) as connection:
        check_pages(connection, path)
        return read_lock(connection, path)


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Look at every page and every index of the file.

    Raises:
        VaultCorrupt: a page is damaged, not only values in it.
    """
    with explained(path):
        (state,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if state != "ok":
        raise VaultCorrupt(f"{path} is damaged; get a backup back with mien device restore")


def retire(path: Path) -> None:
    """Make sure that nobody uses a vault which is to be replaced, and leave it no log.

    A log that stayed would be taken for the new file's.

    Raises:
        VaultBusy: another process, or this one, has it open.
    """
    try:
        with explained(path), closing(sqlite3.connect(path, timeout=0.5)) as connection:
            connection.isolation_level = None
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except VaultBusy as error:
        raise VaultBusy(
            f"{path}: a process has this vault open; stop it (the daemon, the page), then try again"
        ) from error
    except VaultCorrupt:
        pass  # which is why it is replaced
    for ending in ("-wal", "-shm", "-journal"):
        Path(f"{path.resolve()}{ending}").unlink(missing_ok=True)
