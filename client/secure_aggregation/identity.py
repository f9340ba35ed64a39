"""Who the members of a secure sum are, and how a device knows that they are who they say.

In a fleet a device's identity key is vouched for by its enrolled key, and that one by the fleet's
CA, which every device pinned when it joined. In a simulation every device's folder lists the
identity keys of all. Nobody believes the server in it, but in a fleet whoever has the CA's key can
enrol devices that do not exist (docs/secure-aggregation.md).
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from client.joining import CA_FILE, CERTIFICATE_FILE, FLEET_FOLDER, KEY_FILE
from client.membership import membership
from client.vault.vault import Vault
from common.enrolment.introduction import (
    IDENTITY_BYTES,
    read_introduction,
    write_introduction,
)
from common.errors import WorkError
from common.files import write_atomically
from common.secure_aggregation.session import SecureSumRefused

IDENTITY_SETTING: Final = "sum_identity"
IDENTITY_FILE: Final = "identity.key"
KNOWN_FILE: Final = "identities.json"
INTRODUCTION_FILE: Final = "introduction"


class Vouched(NamedTuple):
    """A member who is believed: its public key, and what vouches for it.

    Two members of one sum have nothing of `by` in common; they would be one device.
    """

    key: bytes
    by: tuple[bytes, ...]


class Identities(Protocol):
    """A device's own identity, and its judgement on the others'."""

    def own(self) -> Ed25519PrivateKey:
        """The key that signs this device's steps."""

    def introduction(self) -> bytes:
        """What proves it to the others; its first 32 bytes are the public key."""

    def vouched(self, introduction: bytes) -> Vouched:
        """Who an introduction is of, if it is believed.

        Raises:
            SecureSumRefused: nobody whom this device trusts vouches for it.
        """


class KnownIdentities:
    """Of a simulated device: its folder lists everybody's public keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def own(self) -> Ed25519PrivateKey:
        """See `Identities`."""
        try:
            return Ed25519PrivateKey.from_private_bytes((self._folder / IDENTITY_FILE).read_bytes())
        except (OSError, ValueError) as error:
            raise WorkError("the device's folder has no identity for secure sums") from error

    def introduction(self) -> bytes:
        """See `Identities`: the bare key, where there is nothing else to show."""
        told = self._folder / INTRODUCTION_FILE
        return told.read_bytes() if told.exists() else self.own().public_key().public_bytes_raw()

    def vouched(self, introduction: bytes) -> Vouched:
        """See `Identities`."""
        known = json.loads((self._folder / KNOWN_FILE).read_text(encoding="utf-8"))
        if introduction.hex() not in known:
            raise SecureSumRefused("the roster has a member whom this device does not know")
        return Vouched(introduction[:IDENTITY_BYTES], (introduction,))


def keep_known(
    folder: Path, own: Ed25519PrivateKey, known: list[bytes], introduction: bytes = b""
) -> None:
    """Set a simulated device up for secure sums.

    Args:
        folder: the device's.
        own: its identity key.
        known: everybody's introductions.
        introduction: its own, for a server that looks at certificates; none for the bare key.
    """
    write_atomically(folder / IDENTITY_FILE, own.private_bytes_raw())
    if introduction:
        write_atomically(folder / INTRODUCTION_FILE, introduction)
    names = json.dumps([each.hex() for each in known])
    write_atomically(folder / KNOWN_FILE, names.encode())


class CertifiedIdentities:
    """Of a device in a fleet: its enrolled key signs its identity, the fleet's CA that key."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._folder = vault.folder / FLEET_FOLDER

    def own(self) -> Ed25519PrivateKey:
        """See `Identities`; made where there is none yet, anew in another fleet."""
        member = membership(self._vault)
        name = f"{IDENTITY_SETTING} in {member.fleet if member else 'no fleet'}"
        told = self._vault.setting(name)
        if told is None:
            told = os.urandom(IDENTITY_BYTES).hex()
            self._vault.set_setting(name, told)
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(str(told)))

    def introduction(self) -> bytes:
        """See `Identities` and `common.enrolment.introduction`."""
        certificate = x509.load_pem_x509_certificate(self._read(CERTIFICATE_FILE))
        key = load_ssh_private_key(self._read(KEY_FILE), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise WorkError("the device's key is not on a NIST curve")
        return write_introduction(self.own().public_key().public_bytes_raw(), certificate, key)

    def vouched(self, introduction: bytes) -> Vouched:
        """See `Identities`; a device's key and its name vouch for one member each."""
        ca = x509.load_pem_x509_certificate(self._read(CA_FILE))
        try:
            told = read_introduction(introduction)
            told.certificate.verify_directly_issued_by(ca)
            _check_use(told.certificate, datetime.now(UTC))
        except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound) as error:
            raise SecureSumRefused(
                "the roster has a member for whom this fleet's CA does not vouch"
            ) from error
        name = told.certificate.subject.public_bytes()
        return Vouched(told.identity, (_raw_key(told.key), name))

    def _read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise WorkError(
                f"this device can't prove who it is: {FLEET_FOLDER}/{name} can't be read "
                f"({error.strerror}); renew its enrolment by mien device join"
            ) from error


def _raw_key(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_use(certificate: x509.Certificate, now: datetime) -> None:
    """Refuse a certificate that is not a device's, or not good now."""
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("not a device's certificate")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ValueError("not valid now")
