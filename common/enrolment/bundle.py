"""What a device takes away from its enrolment: one JSON file that the operator's key signs.

It pins the CA, the server's address, and the key that signs releases. The operator's key itself is
believed because a person compares its fingerprint, or because the file came by a way that is
trusted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common.enrolment.keys import checked_name
from common.errors import UsageError, WorkError

FORMAT: Final = 1
MOST_BYTES: Final = 64 * 1024
_CONTEXT: Final = b"mien-enrolment/1\0"
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_FLEET: Final = re.compile(r"[a-z0-9-]{1,64}")
_ADDRESS: Final = re.compile(r"(\[[0-9a-f:]+\]|[A-Za-z0-9.-]{1,253}):([1-9][0-9]{0,4})")


class BundleRefused(WorkError):
    """The bundle's signature does not fit, or another operator's key made it."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A device's enrolment or its renewal.

    Attributes:
        fleet: id.
        device: name.
        address: `host:port` of the fleet's server.
        ca: PEM certificate of the fleet's CA; the only one that the device trusts.
        certificate: PEM client certificate of the device.
        signing_key: hex of the Ed25519 public key that signed release `floor`.
        floor: sequence number of the newest release at the time, at least 1.
        operator_key: hex of the Ed25519 public key that signed the bundle.
        private_key: OpenSSH private key where the device brought none, else None. Such a bundle is
            a secret: delete it once the device has it.
        signature: hex.

    Raises:
        UsageError: a value that can't be one.
    """

    fleet: str
    device: str
    address: str
    ca: str
    certificate: str
    signing_key: str
    floor: int
    operator_key: str
    private_key: str | None = field(default=None, repr=False)
    signature: str = ""

    def __post_init__(self) -> None:
        texts = {**dataclasses.asdict(self), "private_key": self.private_key or ""}
        texts.pop("floor")
        if any(type(value) is not str for value in texts.values()):
            raise UsageError("an enrolment bundle has a value that is not text")
        keys = (self.signing_key, self.operator_key)
        if not all(_KEY.fullmatch(key) for key in keys) or not _FLEET.fullmatch(self.fleet):
            raise UsageError("an enrolment bundle's fleet and keys are not in their form")
        if type(self.floor) is not int or self.floor < 1:
            raise UsageError(f"an enrolment bundle's floor is {self.floor!r}, expected 1 or more")
        checked_name(self.device)
        split_address(self.address)

    def signed(self, key: Ed25519PrivateKey) -> Bundle:
        """The same, signed by the operator's key."""
        named = replace(self, operator_key=key.public_key().public_bytes_raw().hex())
        return replace(named, signature=key.sign(named._told()).hex())

    def check(self, fingerprint: str | None = None) -> None:
        """Hold the signature against the operator's key, and that against its fingerprint.

        Raises:
            BundleRefused: one does not fit.
        """
        if fingerprint is not None and fingerprint != fingerprint_of(self.operator_key):
            raise BundleRefused(
                f"the bundle is of the operator {fingerprint_of(self.operator_key)}, expected "
                f"{fingerprint}; ask the fleet's operator for the right one"
            )
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.operator_key))
            key.verify(bytes.fromhex(self.signature), self._told())
        except (InvalidSignature, ValueError):
            raise BundleRefused(
                "the enrolment bundle was changed: its signature does not fit; fetch it again"
            ) from None

    def _told(self) -> bytes:
        values = {**dataclasses.asdict(self), "format": FORMAT}
        values.pop("signature")
        return _CONTEXT + json.dumps(values, sort_keys=True).encode()

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({**dataclasses.asdict(self), "format": FORMAT}, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Bundle:
        """Inverse of `to_json`; `check` is the caller's.

        Raises:
            UsageError: too long, not JSON, of another format, a key is missing, unknown or out of
                range, or a certificate that is none.
        """
        if len(text) > MOST_BYTES:
            raise UsageError(f"{len(text)} bytes are too many for an enrolment bundle")
        try:
            values: dict[str, Any] = json.loads(text)
            if values.pop("format") != FORMAT:
                raise UsageError("the enrolment bundle is of another version of Mien")
            bundle = cls(**values)
            for certificate in (bundle.ca, bundle.certificate):
                x509.load_pem_x509_certificate(certificate.encode())
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(f"the enrolment bundle could not be read: {error}") from error
        return bundle


def fingerprint_of(key: str) -> str:
    """A public key's fingerprint for people to compare: SHA-256, 16 bytes in groups of four.

    >>> fingerprint_of("00" * 32)
    '66687aad-f862bd77-6c8fc18b-8e9f8e20'
    """
    digest = hashlib.sha256(bytes.fromhex(key)).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 32, 8))


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 host stands in brackets.

    Raises:
        UsageError: it is not of this form.

    >>> split_address("fleet.example:443")
    ('fleet.example', 443)
    """
    found = _ADDRESS.fullmatch(address)
    if not found or int(found[2]) > 65535:
        raise UsageError(f"address {address!r} is not HOST:PORT, such as fleet.example:443")
    return found[1].strip("[]"), int(found[2])
