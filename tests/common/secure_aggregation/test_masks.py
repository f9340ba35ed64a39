"""Mask streams: the standards' own vectors, and one of ours that must never change."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

from common.secure_aggregation import masks
from tests.common.secure_aggregation.parties import session_of


def slow_key(salt: bytes, secret: bytes, info: bytes) -> bytes:
    """RFC 5869, section 2, for one block of output."""
    pseudorandom = hmac.digest(salt, secret, hashlib.sha256)
    return hmac.digest(pseudorandom, info + b"\x01", hashlib.sha256)


def slow_stream(key: bytes, length: int) -> list[int]:
    """AES of 0, 1, 2, ... (NIST SP 800-38A, section 6.5), cut into little-endian words."""
    encryptor = Cipher(AES256(key), ECB()).encryptor()
    blocks = b"".join(
        encryptor.update(counter.to_bytes(16, "big")) for counter in range(length // 4 + 1)
    )
    return [int.from_bytes(blocks[4 * n : 4 * n + 4], "little") for n in range(length)]


@pytest.mark.parametrize("length", [1, 4, 6, 37])
def test_a_stream_is_what_the_standards_say(length: int) -> None:
    session = session_of(3, length=length)
    key = slow_key(session.digest, b"\x05" * 32, masks.SELF)
    assert masks.derived(session, b"\x05" * 32, masks.SELF) == key
    assert masks.stream(session, b"\x05" * 32, masks.SELF).tolist() == slow_stream(key, length)


def test_streams_of_other_secrets_purposes_and_sessions_differ() -> None:
    session, other = session_of(3, length=64), session_of(3, length=64, round=2)
    streams = [
        masks.stream(session, bytes(32), masks.SELF),
        masks.stream(session, bytes(32), masks.PAIR),
        masks.stream(session, b"\x01" * 32, masks.SELF),
        masks.stream(other, bytes(32), masks.SELF),
    ]
    for number, one in enumerate(streams):
        for another in streams[:number]:
            assert np.count_nonzero(one == another) <= 1


def test_a_stream_is_spread_over_the_whole_ring() -> None:
    """Mean and spread of 100 000 words, each within six standard errors of a uniform one's."""
    words = masks.stream(session_of(3, length=100_000), bytes(32), masks.SELF) / 2**32
    assert abs(words.mean() - 0.5) < 6 * np.sqrt(1 / 12 / len(words))
    assert abs(words.var() - 1 / 12) < 6 * np.sqrt(1 / 180 / len(words))
