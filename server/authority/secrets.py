"""Secret files: for their owner alone, never written over, whole or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from common.errors import UsageError, WorkError
from common.files import PRIVATE_FILE, sync, write_atomically

OTHERS: Final = 0o077
_PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


def write_new(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 that was not there, whole or not at all.

    Raises:
        UsageError: the file is there already.
        OSError: the folder is missing, full or not writable.
    """
    whole = path.with_name(f".{path.name}.{os.getpid()}.new")
    write_atomically(whole, content, mode=PRIVATE_FILE)
    try:
        os.link(whole, path)  # unlike a rename, fails where there is something
    except FileExistsError:
        raise UsageError(f"{path} is there already and is not written over") from None
    finally:
        whole.unlink()
    sync(path.parent)


def write_key(path: Path, key: _PrivateKey) -> None:
    """Write a new private key as PEM (PKCS 8, without a passphrase)."""
    write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def read_secret(path: Path) -> bytes:
    """A secret file's content.

    Raises:
        WorkError: it is missing, or other users may read or change it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except OSError as error:
        raise WorkError(
            f"{path} can't be read ({error.strerror}); bring it back from a copy of the fleet's "
            "folder"
        ) from error
    if mode & OTHERS:
        raise WorkError(
            f"{path} is open to other users (mode {mode:04o}); if none has read it, close it by "
            f"`chmod 600 {path}`"
        )
    return content


def read_ec_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """An ECDSA private key; errors as `read_secret`."""
    key = _read_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise WorkError(f"{path} holds a key of another kind than ECDSA")
    return key


def read_ed25519_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 private key; errors as `read_secret`."""
    key = _read_key(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise WorkError(f"{path} holds a key of another kind than Ed25519")
    return key


def _read_key(path: Path) -> object:
    try:
        return load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError) as error:
        raise WorkError(
            f"{path} is not a private key; bring it back from a copy of the fleet's folder"
        ) from error
