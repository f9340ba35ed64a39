"""Passphrases, key files, and how they lock the vault's data key.

All values are encrypted with keys that come from one random data key of 32 bytes. That one is
kept in the vault itself, encrypted (AES-256-GCM) by a key that comes from the user's secret:

- passphrase: Argon2id with the cost of RFC 9106, section 4, second recommended option (3 passes,
  4 lanes, 64 MiB, salt of 128 bits, key of 256 bits). What was used stands in the vault, so that
  a later version can raise it for new vaults.
- key file: 32 random bytes through HKDF (RFC 5869) with SHA-256.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from client.vault.errors import VaultLocked, VaultWrongKey
from common.errors import UsageError

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
PASSPHRASE: Final = "passphrase"
KEY_FILE: Final = "key file"
MOST_MEMORY_KIB: Final = 1 << 21
"""2 GiB, the first recommended option of RFC 9106; a vault that asks for more is not believed."""
MOST_ITERATIONS: Final = 100
MOST_LANES: Final = 64


@dataclass(frozen=True)
class Passphrase:
    """What a person types; equal after Unicode's normalisation NFC (RFC 8265) is the same."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class KeyFile:
    """A file of `KEY_BYTES` random bytes that only its owner can read."""

    path: Path


Secret = Passphrase | KeyFile


@dataclass(frozen=True, kw_only=True)
class Argon2Cost:
    """How much work it is to try one passphrase; `RECOMMENDED` except in tests."""

    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 1 << 16

    def __post_init__(self) -> None:
        numbers = (
            (self.iterations, 1, MOST_ITERATIONS),
            (self.lanes, 1, MOST_LANES),
            (self.memory_kib, 8, MOST_MEMORY_KIB),
        )
        if any(type(n) is not int or not low <= n <= high for n, low, high in numbers) or (
            self.memory_kib < 8 * self.lanes
        ):
            raise UsageError(f"the cost of a passphrase is out of range: {asdict(self)}")


RECOMMENDED: Final = Argon2Cost()


def make_key_file(path: Path) -> None:
    """Write a new key file, mode 0600.

    Raises:
        UsageError: the file is there already (its vault would be lost) or can't be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path} exists; a key file is never overwritten") from error
    except OSError as error:
        raise UsageError(f"{path} can't be written ({error.strerror})") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())


def read_key_file(path: Path) -> bytes:
    """The key in a file.

    Raises:
        VaultLocked: the file is missing or can't be read.
        UsageError: others than the owner can read it, or it is no key file.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise VaultLocked(
            f"the vault is locked: its key file {path} can't be read ({error.strerror})"
        ) from error
    if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise UsageError(
            f"{path}: others than its owner may use this key file (mode {mode:04o}); "
            f"close it with: chmod 600 {path}"
        )
    if len(content) != KEY_BYTES:
        raise UsageError(f"{path} is no key file: it must have exactly {KEY_BYTES} bytes")
    return content


def new_data_key() -> bytes:
    """A fresh data key."""
    return secrets.token_bytes(KEY_BYTES)


def lock(data_key: bytes, secret: Secret, vault_id: str, cost: Argon2Cost = RECOMMENDED) -> str:
    """The data key, encrypted by a secret, with all that is needed to open it again (JSON).

    Raises:
        UsageError: the passphrase is empty, or the key file not in order.
        VaultLocked: the key file can't be read.
    """
    told: dict[str, Any] = {"salt": _text(secrets.token_bytes(SALT_BYTES))}
    if isinstance(secret, Passphrase):
        told |= {"kind": PASSPHRASE, **asdict(cost)}
    else:
        told |= {"kind": KEY_FILE}
    nonce = secrets.token_bytes(NONCE_BYTES)
    key = _key_of(secret, told)
    wrapped = AESGCM(key).encrypt(nonce, data_key, _occasion(vault_id, told))
    return json.dumps({**told, "nonce": _text(nonce), "key": _text(wrapped)}, sort_keys=True)


def open_lock(text: str, secret: Secret, vault_id: str) -> bytes:
    """Inverse of `lock`.

    Raises:
        VaultWrongKey: the secret is another one, or of the other kind.
        VaultLocked, UsageError: as in `read_key_file`.
        ValueError: the text is none that `lock` gave.
    """
    told, nonce, wrapped = _parts(text)
    kind = PASSPHRASE if isinstance(secret, Passphrase) else KEY_FILE
    if told["kind"] != kind:
        raise VaultWrongKey(f"the vault is locked with a {told['kind']}, not with a {kind}")
    try:
        return AESGCM(_key_of(secret, told)).decrypt(nonce, wrapped, _occasion(vault_id, told))
    except InvalidTag as error:
        raise VaultWrongKey(f"this {kind} does not open the vault") from error


def kind_of_lock(text: str) -> str:
    """`PASSPHRASE` or `KEY_FILE`.

    Raises:
        ValueError: the text is none that `lock` gave.
    """
    return str(_parts(text)[0]["kind"])


def _parts(text: str) -> tuple[dict[str, Any], bytes, bytes]:
    """What stands around the wrapped key, its nonce, and the wrapped key."""
    try:
        told = json.loads(text)
        nonce, wrapped = (base64.b64decode(told.pop(name), validate=True) for name in _SEALED)
        base64.b64decode(told["salt"], validate=True)
        known = {"kind", "salt"}
        if told["kind"] == PASSPHRASE:
            known |= set(asdict(_cost(told)))
        if told["kind"] not in (PASSPHRASE, KEY_FILE) or set(told) != known:
            raise ValueError("unknown kind or part")
    except (UsageError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a lock: {error}") from error
    if len(nonce) != NONCE_BYTES:
        raise ValueError("not a lock: its nonce has another length")
    return told, nonce, wrapped


_SEALED: Final = ("nonce", "key")


def _cost(told: Mapping[str, Any]) -> Argon2Cost:
    names = ("iterations", "lanes", "memory_kib")
    return Argon2Cost(**{name: told[name] for name in names})


def _key_of(secret: Secret, told: Mapping[str, Any]) -> bytes:
    """The key that encrypts the data key."""
    salt = base64.b64decode(told["salt"])
    if isinstance(secret, KeyFile):
        info = b"mien vault: key file"
        return HKDF(SHA256(), KEY_BYTES, salt, info).derive(read_key_file(secret.path))
    text = unicodedata.normalize("NFC", secret.text)
    if not text:
        raise UsageError("the passphrase is empty; choose one that is hard to guess")
    cost = _cost(told)
    return Argon2id(
        salt=salt,
        length=KEY_BYTES,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    ).derive(text.encode("utf-8", "surrogatepass"))


def _occasion(vault_id: str, told: Mapping[str, Any]) -> bytes:
    """Associated data: a wrapped key fits one vault and one way of making its key."""
    return json.dumps(["mien vault key", vault_id, dict(told)], sort_keys=True).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
