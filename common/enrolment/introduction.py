"""How a device introduces itself to the members of a secure sum.

Public identity key (32 bytes, Ed25519), length of the certificate (4 bytes), certificate (DER),
signature over the identity key by the certificate's key.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

IDENTITY_BYTES: Final = 32
_SIZE: Final = 4
_CONTEXT: Final = b"mien secure sum: identity"


class Introduction(NamedTuple):
    """What a device says of itself; that its certificate is good is for the reader to check."""

    identity: bytes
    certificate: x509.Certificate
    key: ec.EllipticCurvePublicKey


def write_introduction(
    identity: bytes, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> bytes:
    """The same bytes every time.

    Args:
        identity: public, 32 bytes.
        certificate: of `key`.
        key: the device's enrolled one.
    """
    signature = key.sign(_CONTEXT + identity, ec.ECDSA(hashes.SHA384(), deterministic_signing=True))
    told = certificate.public_bytes(Encoding.DER)
    return identity + len(told).to_bytes(_SIZE, "big") + told + signature


def read_introduction(content: bytes) -> Introduction:
    """An introduction whose identity key the certificate's key has signed.

    Raises:
        ValueError: it is none.
    """
    identity, rest = content[:IDENTITY_BYTES], content[IDENTITY_BYTES:]
    end = _SIZE + int.from_bytes(rest[:_SIZE], "big")
    try:
        certificate = x509.load_der_x509_certificate(rest[_SIZE:end])
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("the certificate's key is not on a curve")
        key.verify(rest[end:], _CONTEXT + identity, ec.ECDSA(hashes.SHA384()))
    except (InvalidSignature, UnsupportedAlgorithm) as error:
        raise ValueError("the identity is not signed by the certificate's key") from error
    return Introduction(identity, certificate, key)
