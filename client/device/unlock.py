"""How a command gets at the vault: never by an argument or an environment variable.

In this order: a running daemon hands the data key over its socket; else the passphrase file that
the command names; else what device.json says: a key file, the system's keyring, or a passphrase
that is asked for on a terminal.
"""

from __future__ import annotations

import getpass
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from client.device.place import KEY_FILE, KEYRING, NEXT_KEY, names_a_key, read_device
from client.vault.errors import VaultLocked, VaultWrongKey
from client.vault.keys import KeyFile, Passphrase, Secret
from client.vault.vault import Vault, unlock
from common.errors import UsageError

SERVICE: Final = "mien"
LONGEST_PASSPHRASE: Final = 4096
"""Bytes; a file that is longer was meant for something else."""
Ask = Callable[[str], str]


def open_vault(
    folder: Path, *, passphrase_file: Path | None = None, ask: Ask | None = None
) -> Vault:
    """Open a device's vault; see `data_key`."""
    return Vault(folder, data_key(folder, passphrase_file=passphrase_file, ask=ask))


def data_key(folder: Path, *, passphrase_file: Path | None = None, ask: Ask | None = None) -> bytes:
    """The vault's data key, from the daemon if one runs, else from the device's secret.

    Args:
        folder: the device's.
        passphrase_file: whose first line is the passphrase.
        ask: gives a passphrase for a prompt; by default the terminal, if there is one.

    Raises:
        UsageError: there is no device, or a file can't be read.
        VaultLocked: nothing at hand gives the passphrase or key.
        VaultWrongKey, VaultMissing, VaultCorrupt: the vault's own.
    """
    settings = read_device(folder)
    from client.daemon.socket import data_key as from_daemon

    held = from_daemon(folder)
    if held is not None:
        return held
    try:
        return unlock(folder, _secret(folder, settings["key"], passphrase_file, ask))
    except (VaultWrongKey, VaultLocked):
        after = settings.get(NEXT_KEY)
        if not names_a_key(after):
            raise
        return unlock(folder, _secret(folder, after, passphrase_file, ask))


def secret_of(
    folder: Path, *, passphrase_file: Path | None = None, ask: Ask | None = None
) -> Secret:
    """The device's passphrase or key file, not yet tried on the vault; raises as `data_key`."""
    return _secret(folder, read_device(folder)["key"], passphrase_file, ask)


def _secret(
    folder: Path, key: dict[str, str], passphrase_file: Path | None, ask: Ask | None
) -> Secret:
    if passphrase_file is not None:
        return read_passphrase(passphrase_file)
    if key["source"] == KEY_FILE:
        return KeyFile(Path(key["path"]))
    kept = remembered(folder) if key["source"] == KEYRING else None
    if kept is not None:
        return kept
    return Passphrase(_asked(folder, ask))


def _asked(folder: Path, ask: Ask | None) -> str:
    if ask is None and sys.stdin is not None and sys.stdin.isatty():
        ask = getpass.getpass
    if ask is None:
        raise VaultLocked(
            f"{folder}: the vault is locked and there is no terminal to ask for the passphrase; "
            "name a file that holds it with --passphrase-file, or start `mien device run`"
        )
    text = ask("Passphrase of this device: ")
    if not text:
        raise VaultLocked(f"{folder}: the vault is locked and no passphrase was given")
    return text


def read_passphrase(path: Path) -> Passphrase:
    """The first line of a file.

    Raises:
        UsageError: it can't be read, is empty, too long or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_PASSPHRASE + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: the passphrase can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected a passphrase as UTF-8 text, found bytes") from error
    first = text.splitlines()[0] if text else ""
    if not first or len(content) > LONGEST_PASSPHRASE:
        raise UsageError(
            f"{path}: expected the passphrase in the first line of a file of at most "
            f"{LONGEST_PASSPHRASE} bytes"
        )
    return Passphrase(first)


def remember(folder: Path, passphrase: Passphrase) -> bool:
    """Give a passphrase to the system's keyring; false where there is no keyring to be had."""
    import keyring
    import keyring.errors

    try:
        keyring.set_password(SERVICE, _account(folder), passphrase.text)
    except keyring.errors.KeyringError:
        return False
    return True


def remembered(folder: Path) -> Passphrase | None:
    """What `remember` kept; None where there is no keyring or nothing in it."""
    import keyring
    import keyring.errors

    try:
        text = keyring.get_password(SERVICE, _account(folder))
    except keyring.errors.KeyringError:
        return None
    return Passphrase(text) if text else None


def _account(folder: Path) -> str:
    """One entry per folder; the folder's own name stays out of the keyring's listing."""
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
