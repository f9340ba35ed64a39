"""A device's one key pair: for Flower's SuperNode authentication and for its client certificate.

ECDSA on P-384. Flower reads the private key in OpenSSH's format without a passphrase and takes any
NIST curve; Mien makes P-384 and takes P-256, P-384 and P-521.
"""

from __future__ import annotations

import re
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
    load_ssh_public_key,
)
from cryptography.x509.oid import NameOID

from common.errors import UsageError

MOST_BYTES: Final = 16 * 1024
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def checked_name(name: str) -> str:
    """A device's name, if it may be one.

    Raises:
        UsageError: it is not 1 to 63 of a-z 0-9 -.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"device name {name!r} is not 1 to 63 of the characters a-z 0-9 -, with no - in front"
        )
    return name


def device_key() -> ec.EllipticCurvePrivateKey:
    """A new key pair from the operating system's random numbers."""
    return ec.generate_private_key(ec.SECP384R1())


def private_openssh(key: ec.EllipticCurvePrivateKey) -> str:
    """The private key as Flower's SuperNode reads it; for a file of mode 0600."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """The private key as TLS libraries read it (PKCS 8); for a file of mode 0600."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_openssh(key: ec.EllipticCurvePublicKey) -> str:
    """The public key as `flwr supernode register` reads it."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def certificate_request(key: ec.EllipticCurvePrivateKey, name: str) -> str:
    """A PEM certificate signing request, which proves that the device has the private key.

    Raises:
        UsageError: the name may be no device's.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, checked_name(name))])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(key, hashes.SHA384()).public_bytes(Encoding.PEM).decode()


def read_public_key(content: bytes) -> ec.EllipticCurvePublicKey:
    """A device's public key out of a signing request (PEM), or a PEM or OpenSSH public key.

    A request's own wishes (name, extensions) are not looked at.

    Raises:
        UsageError: none of these, not on P-256, P-384 or P-521, or a request whose signature does
            not fit.
    """
    if len(content) > MOST_BYTES:
        raise UsageError(f"{len(content)} bytes are too many for a public key or signing request")
    try:
        key = _loaded(content)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise UsageError(
            "the device's key is no signing request or public key that could be read: expected "
            f"PEM or OpenSSH on the curve P-384 ({error})"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise UsageError(
            "the device's key is not on P-256, P-384 or P-521, which Flower asks for; make it by "
            "`ssh-keygen -t ecdsa -b 384`, or on the device with Mien"
        )
    return key


def _loaded(content: bytes) -> object:
    text = content.strip()
    if b"PRIVATE KEY" in text:
        raise ValueError("this is a private key, which must not leave the device")
    if text.startswith(b"-----BEGIN CERTIFICATE REQUEST-----"):
        request = x509.load_pem_x509_csr(text)
        if not request.is_signature_valid:
            raise ValueError("the request's signature does not fit its key")
        return request.public_key()
    if text.startswith(b"-----BEGIN PUBLIC KEY-----"):
        return load_pem_public_key(text)
    return load_ssh_public_key(text)
