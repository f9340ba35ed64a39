"""Encrypts the vault's values, one by one, each bound to its place.

AES-256-GCM with a fresh random nonce of 96 bits per value (NIST SP 800-38D allows 2^32 of them per
key). The associated data names vault, table, column, row and the row's plain columns, so that a
value which is moved elsewhere can't be decrypted there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from client.vault.keys import KEY_BYTES, NONCE_BYTES

HASH_BYTES: Final = 16

Plain = str | int | None
"""A value of a plain column."""


class Unreadable(Exception):
    """A value that was not sealed with this key, for this place."""


def new_id() -> str:
    """A random id of a row: 32 hexadecimal digits."""
    return secrets.token_hex(16)


class Cipher:
    """Seals and opens values of one vault; safe to use from several threads."""

    def __init__(self, data_key: bytes, vault_id: str) -> None:
        self._vault_id = vault_id
        self._values = AESGCM(_derived(data_key, b"values"))
        self._hashes = _derived(data_key, b"hashes")
        self.check = _derived(data_key, b"check")[:HASH_BYTES]
        """Tells whether a data key is the right one, and nothing of it."""

    def seal(self, table: str, column: str, row: tuple[Plain, ...], value: bytes) -> bytes:
        """Encrypt a value for one place; `row` is the row's id and its bound plain columns."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._values.encrypt(nonce, value, self._place(table, column, row))

    def open(self, table: str, column: str, row: tuple[Plain, ...], sealed: object) -> bytes:
        """Inverse of `seal`.

        Raises:
            Unreadable: changed, cut short, moved here from elsewhere, or sealed with another key.
        """
        if not isinstance(sealed, bytes):
            raise Unreadable
        try:
            return self._values.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._place(table, column, row)
            )
        except (InvalidTag, ValueError) as error:
            raise Unreadable from error

    def hashed(self, purpose: str, text: str) -> bytes:
        """A keyed hash, to look values up and keep them unique without writing them down."""
        content = json.dumps([purpose, text]).encode()
        return hmac.digest(self._hashes, content, hashlib.sha256)[:HASH_BYTES]

    def _place(self, table: str, column: str, row: tuple[Plain, ...]) -> bytes:
        return json.dumps([self._vault_id, table, column, *map(_told, row)]).encode()


def _told(value: object) -> Plain:
    """A plain column as part of associated data; one of a type that is never written fits none."""
    return value if isinstance(value, str | int | None) else f"{type(value)}"


def _derived(data_key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(SHA256(), KEY_BYTES, b"mien vault: " + purpose).derive(data_key)
