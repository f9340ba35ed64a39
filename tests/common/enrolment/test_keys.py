"""A device's key in every form in which it may come, and in those in which it may not."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from common.enrolment.keys import (
    MOST_BYTES,
    certificate_request,
    checked_name,
    device_key,
    private_openssh,
    private_pem,
    public_openssh,
    read_public_key,
)
from common.errors import UsageError

KEY = device_key()


def spki(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_all_forms_are_the_same_key() -> None:
    forms = (
        certificate_request(KEY, "dev-a").encode(),
        public_openssh(KEY.public_key()).encode(),
        public_openssh(KEY.public_key()).encode() + b" someone@somewhere\n",
        spki(KEY.public_key()),
        b"\n" + spki(KEY.public_key()) + b"\n",
    )
    for form in forms:
        assert read_public_key(form) == KEY.public_key()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_nist_curves_are_taken(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve).public_key()
    assert read_public_key(public_openssh(key).encode()) == key


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
    ],
    ids=["secp256k1", "rsa", "ed25519"],
)
def test_other_kinds_of_keys_are_refused(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey,
) -> None:
    with pytest.raises(UsageError, match="P-384"):
        read_public_key(spki(key))


@pytest.mark.parametrize("private", [private_openssh(KEY), private_pem(KEY)])
def test_a_private_key_is_refused_and_not_repeated(private: str) -> None:
    with pytest.raises(UsageError, match="must not leave the device") as told:
        read_public_key(private.encode())
    assert private.splitlines()[1] not in str(told.value)


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    request = x509.load_pem_x509_csr(certificate_request(KEY, "dev-a").encode())
    der = bytearray(request.public_bytes(Encoding.DER))
    der[-1] ^= 1
    try:
        forged = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    except ValueError:
        pytest.skip("the changed signature is no longer an encoding of two numbers")
    with pytest.raises(UsageError):
        read_public_key(forged)
    name = x509.Name([])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(KEY, hashes.SHA256())
    assert read_public_key(signed.public_bytes(Encoding.PEM)) == KEY.public_key()


@given(content=st.binary(max_size=300))
def test_rubbish_is_refused(content: bytes) -> None:
    heads = (b"", b"-----BEGIN PUBLIC KEY-----\n", b"-----BEGIN CERTIFICATE REQUEST-----\n")
    for head in heads:
        with pytest.raises(UsageError):
            read_public_key(head + content)


def test_too_much_is_refused_unread() -> None:
    with pytest.raises(UsageError, match="too many"):
        read_public_key(b" " * MOST_BYTES + spki(KEY.public_key()))


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 64, "a/b", "ä", "a\n", "../a"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="device name"):
        checked_name(name)
    with pytest.raises(UsageError, match="device name"):
        certificate_request(KEY, name)
