"""Shamir's secret sharing of 32-byte secrets (Shamir, CACM 22(11), 1979).

Over the integers modulo the smallest prime above 2^256. A share is the value at the member's
number of a random polynomial of degree threshold - 1 whose value at 0 is the secret: `threshold`
shares give the secret, fewer give nothing at all.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

PRIME: Final = 2**256 + 297
SECRET_BYTES: Final = 32
SHARE_BYTES: Final = 33


def split(secret: bytes, members: Iterable[int], threshold: int) -> dict[int, bytes]:
    """One share of 33 bytes per member; randomness is the operating system's.

    Args:
        secret: 32 bytes.
        members: different numbers from 1.
        threshold: shares that give the secret back.
    """
    if len(secret) != SECRET_BYTES or threshold < 1:
        raise ValueError("a secret has 32 bytes, and a threshold is at least 1")
    constant = int.from_bytes(secret, "big")
    coefficients = [constant, *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    return {member: _value(coefficients, member) for member in members}


def _value(coefficients: list[int], at: int) -> bytes:
    if not 0 < at < PRIME:
        raise ValueError("a share at 0 would be the secret itself")
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * at + coefficient) % PRIME
    return value.to_bytes(SHARE_BYTES, "big")


def combine(shares: Mapping[int, bytes]) -> bytes:
    """The secret behind at least `threshold` shares.

    Raises:
        ValueError: the shares do not belong together, or are too few (seen only by chance: fewer
            shares give some other number, which is mostly no secret's).
    """
    weights = _weights(tuple(sorted(shares)))
    values = ((weights[member], int.from_bytes(share, "big")) for member, share in shares.items())
    secret = sum(weight * value for weight, value in values) % PRIME
    if secret >= 2 ** (8 * SECRET_BYTES):
        raise ValueError("the shares do not give a secret of 32 bytes")
    return secret.to_bytes(SECRET_BYTES, "big")


@lru_cache(maxsize=64)
def _weights(members: tuple[int, ...]) -> dict[int, int]:
    """Lagrange's weights at 0: the same for all secrets that the same members hold shares of."""
    found = {}
    for member in members:
        above = below = 1
        for other in members:
            if other != member:
                above = above * other % PRIME
                below = below * (other - member) % PRIME
        found[member] = above * pow(below, -1, PRIME) % PRIME
    return found
