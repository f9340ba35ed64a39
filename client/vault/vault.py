"""The device's encrypted store. One file holds everything, its own locked key included.

    create_vault(folder, Passphrase("...")).close()
    with Vault(folder, unlock(folder, Passphrase("..."))) as vault:
        with vault.transaction():
            vault.save_user(user)
            vault.add_gallery(entry)

A `Vault` may be used from several threads, which wait for each other; each process opens its own.
Every write is on the disk when its method (or the outermost transaction around it) ends.

What the file shows without the key: how many users, clips, galleries, heads, settings, ledger
entries and errors there are, which clips are one user's, and how long each encrypted value is
(texts are padded). Whoever can write to it can delete rows of other tables than the ledger, and
bring back an older copy of the file or an older value of the same place; changing, swapping, moving
or inventing values is detected.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from types import TracebackType

from client.ledger import START
from client.vault.cipher import Cipher, new_id
from client.vault.copies import Fill, checked_lock, copy_database, place_new, replace_whole, retire
from client.vault.database import (
    PATIENCE_SECONDS,
    VAULT_FILE,
    Database,
    Lock,
    check_format,
    connect,
    read_lock,
)
from client.vault.encoding import encode_json
from client.vault.errors import (
    RowDamaged,
    VaultBusy,
    VaultCorrupt,
    VaultError,
    VaultExists,
    VaultFull,
    VaultLocked,
    VaultMissing,
    VaultTooNew,
    VaultWrongKey,
)
from client.vault.keys import (
    RECOMMENDED,
    Argon2Cost,
    KeyFile,
    Passphrase,
    Secret,
    kind_of_lock,
    lock,
    make_key_file,
    new_data_key,
    open_lock,
)
from client.vault.ledger import TIP, VaultLedger
from client.vault.migrations import migrate
from client.vault.notes import Notes, now
from client.vault.people import People
from client.vault.recordings import Recordings
from client.vault.schema import create_tables
from client.vault.upkeep import Upkeep
from common.errors import WorkError
from common.files import private_folder

__all__ = [
    "VAULT_FILE",
    "KeyFile",
    "Passphrase",
    "RowDamaged",
    "Secret",
    "Vault",
    "VaultBusy",
    "VaultCorrupt",
    "VaultError",
    "VaultExists",
    "VaultFull",
    "VaultLedger",
    "VaultLocked",
    "VaultMissing",
    "VaultTooNew",
    "VaultWrongKey",
    "create_vault",
    "lock_kind",
    "make_key_file",
    "new_id",
    "restore",
    "unlock",
]


def create_vault(folder: Path, secret: Secret, *, cost: Argon2Cost = RECOMMENDED) -> Vault:
    """Make an empty vault in a folder (made if missing, mode 0700) and open it.

    Args:
        folder: for the file `VAULT_FILE`, which appears whole or not at all.
        secret: what will unlock it.
        cost: of trying one passphrase.

    Raises:
        VaultExists: there is one already.
        UsageError, VaultLocked: the secret is not in order.
        VaultError: the folder can't be written to.
    """
    path = folder / VAULT_FILE
    if path.exists():
        raise _exists(path)
    data_key, id = new_data_key(), new_id()
    locked = lock(data_key, secret, id, cost)
    content = _empty(Cipher(data_key, id), Lock(id, locked, Cipher(data_key, id).check))
    _place(path, lambda file: file.write_bytes(content))
    return Vault(folder, data_key)


def unlock(folder: Path, secret: Secret) -> bytes:
    """The data key of the vault in a folder.

    Raises:
        VaultMissing: there is none.
        VaultLocked: the key file can't be read.
        VaultWrongKey: the secret does not open it.
        VaultCorrupt: the file is damaged or no vault.
        VaultTooNew: a newer version of Mien wrote it.
        UsageError: the key file can be read by others than its owner, or is none.
    """
    path = folder / VAULT_FILE
    with closing(connect(path)) as connection:
        return _data_key(path, read_lock(connection, path), secret)


def lock_kind(folder: Path) -> str:
    """What locks the vault in a folder: "passphrase" or "key file".

    Raises:
        VaultMissing, VaultCorrupt, VaultTooNew: see `unlock`.
    """
    path = folder / VAULT_FILE
    with closing(connect(path)) as connection:
        found = read_lock(connection, path)
    try:
        return kind_of_lock(found.lock)
    except ValueError as error:
        raise _damaged_lock(path) from error


class Vault(People, Recordings, Notes, Upkeep):
    """An open vault; a context manager that closes it. Safe to use from several threads."""

    def __init__(
        self, folder: Path, data_key: bytes, *, patience: float = PATIENCE_SECONDS
    ) -> None:
        """Open the vault in a folder; one of an older format is brought up to date.

        Args:
            folder: of the vault.
            data_key: see `unlock`.
            patience: seconds to wait for another process's transaction.

        Raises:
            VaultMissing, VaultCorrupt, VaultWrongKey, VaultTooNew, VaultBusy, VaultFull.
        """
        self.folder = folder
        self._noticed: dict[tuple[str, str], RowDamaged] = {}
        self._db = Database(folder / VAULT_FILE, data_key, patience)
        try:
            migrate(self._db, check_format(self._db.connection, self._db.path))
            with suppress(VaultFull):  # which does not stand in the way of reading
                self._db.truncate_log(patience=0)  # of a process that died before it could
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Vault:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def id(self) -> str:
        """The vault's random id."""
        return self._db.vault_id

    def close(self) -> None:
        """Close the vault; a second time does nothing."""
        self._db.close()

    def transaction(self) -> AbstractContextManager[object]:
        """Group writes: all of them or none, on the disk when the outermost one ends.

        Other threads and processes wait as long as it lasts: do no slow work inside, and never
        `await`. An inner one that fails takes only its own writes back, should its error be caught.

        Raises:
            VaultBusy: another process was writing for too long.
            VaultFull: no room; nothing of it was kept.
        """
        return self._db.writing()

    def snapshot(self) -> AbstractContextManager[object]:
        """Read one state of the vault, whatever other processes write meanwhile."""
        return self._db.reading()

    @property
    def ledger(self) -> VaultLedger:
        """What left this device."""
        return VaultLedger(self._db)


def restore(backup: Path, folder: Path, secret: Secret, *, replace: bool = False) -> None:
    """Put a backup in a folder, where the vault was or on a new device.

    The setting "restored" then says when. What was stored, forgotten or sent after the backup was
    made is not in it: forgotten users are back, and the ledger ends where it ended then.

    Args:
        backup: a file that `Vault.backup` wrote.
        folder: of the vault; made if missing.
        secret: what unlocked the vault when the backup was made.
        replace: whether a vault that is there may be lost.

    Raises:
        VaultExists: there is a vault, and `replace` is false.
        VaultWrongKey, VaultLocked, VaultCorrupt, VaultTooNew: the backup can't be opened.
        VaultMissing: there is no such backup.
        VaultBusy: a process has the vault open that would be replaced.
    """
    data_key = _data_key(backup, checked_lock(backup), secret)
    path = folder / VAULT_FILE
    if path.exists() and not replace:
        raise _exists(path)

    def fill(file: Path) -> None:
        copy_database(backup, file, named=path)

    if path.exists():
        replace_whole(path, fill, just_before=retire)
    else:
        _place(path, fill)
    with Vault(folder, data_key) as vault:
        vault.set_setting("restored", now())


def _place(path: Path, fill: Fill) -> None:
    """Put a vault where none is."""
    try:
        private_folder(path.parent)
    except OSError as error:
        raise WorkError(
            f"{path.parent} can't be made a private folder ({error.strerror}); choose another"
        ) from error
    try:
        place_new(path, fill)
    except FileExistsError as error:
        raise _exists(path) from error


def _empty(cipher: Cipher, about: Lock) -> bytes:
    """A vault's file without users."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_tables(connection)
        about.write(connection)
        start = encode_json([0, START])
        sealed = cipher.seal("seals", "value", (TIP,), start)
        connection.execute("INSERT INTO seals (name, value) VALUES (?, ?)", (TIP, sealed))
        return connection.serialize()


def _data_key(path: Path, found: Lock, secret: Secret) -> bytes:
    try:
        data_key = open_lock(found.lock, secret, found.id)
    except ValueError as error:
        raise _damaged_lock(path) from error
    if Cipher(data_key, found.id).check != found.key_check:
        raise _damaged_lock(path)
    return data_key


def _damaged_lock(path: Path) -> VaultCorrupt:
    return VaultCorrupt(
        f"{path}: the key that the vault is locked with is damaged; get a backup back with "
        "mien device restore"
    )


def _exists(path: Path) -> VaultExists:
    return VaultExists(f"{path.parent} has a vault already; choose another folder")
