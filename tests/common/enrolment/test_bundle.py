"""Bundles are read back as they were signed; whatever is changed, they are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from common.enrolment.bundle import Bundle, BundleRefused, fingerprint_of, split_address
from common.enrolment.keys import device_key
from common.errors import MienError, UsageError
from server.authority.certificates import authority_certificate

OPERATOR = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\4" * 32)
CA = (
    authority_certificate(device_key(), "fleet-a", datetime.now(UTC))
    .public_bytes(Encoding.PEM)
    .decode()
)
BUNDLE = Bundle(
    fleet="fleet-a",
    device="dev-a",
    address="fleet.example:443",
    ca=CA,
    certificate=CA,
    signing_key="ab" * 32,
    floor=7,
    operator_key="00" * 32,
).signed(OPERATOR)
TEXT = BUNDLE.to_json()


def test_a_bundle_is_read_back() -> None:
    for bundle in (BUNDLE, replace(BUNDLE, private_key="secret").signed(OPERATOR)):
        read = Bundle.from_json(bundle.to_json())
        assert read == bundle
        read.check()
        read.check(fingerprint_of(OPERATOR.public_key().public_bytes_raw().hex()))


def test_a_private_key_is_not_shown() -> None:
    assert "secret" not in repr(replace(BUNDLE, private_key="secret"))


def test_another_operators_bundle_is_told() -> None:
    fingerprint = fingerprint_of(BUNDLE.operator_key)
    other = BUNDLE.signed(OTHER)
    other.check()
    with pytest.raises(BundleRefused, match=fingerprint):
        other.check(fingerprint)


@given(at=st.integers(0, len(TEXT) - 1), put=st.characters(min_codepoint=32, max_codepoint=126))
def test_any_changed_character_is_refused(at: int, put: str) -> None:
    changed = TEXT[:at] + put + TEXT[at + 1 :]
    try:
        bundle = Bundle.from_json(changed)
        bundle.check(fingerprint_of(BUNDLE.operator_key))
    except MienError:
        return
    same = replace(bundle, signature=bundle.signature.lower())
    assert same == BUNDLE  # such as a space for a line's end, or a capital in the signature


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 2),
        ("fleet", "A"),
        ("device", "../a"),
        ("address", "fleet.example"),
        ("address", "fleet.example:0"),
        ("address", "fleet.example:65536"),
        ("address", "http://fleet.example:1"),
        ("ca", "no certificate"),
        ("certificate", 1),
        ("signing_key", "ab"),
        ("operator_key", None),
        ("floor", 0),
        ("floor", 1.0),
        ("private_key", 1),
        ("more", 1),
    ],
)
def test_values_that_can_not_be(name: str, value: object) -> None:
    with pytest.raises(UsageError):
        Bundle.from_json(json.dumps({**json.loads(TEXT), name: value}))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", b"\xff", "[" * 60_000, " " * 70_000])
def test_rubbish_is_no_bundle(text: str | bytes) -> None:
    with pytest.raises(UsageError):
        Bundle.from_json(text)


def test_addresses() -> None:
    assert split_address("[::1]:65535") == ("::1", 65535)
    assert split_address("10.0.0.1:1") == ("10.0.0.1", 1)
