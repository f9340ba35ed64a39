"""The steps of a secure sum as bytes, in both directions; whatever has another size is refused.

Records have fixed sizes, so that a step's bytes can be read in one way only: what encodes to other
bytes than came is no step. Members are four bytes, big-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np

from common.secure_aggregation.encoding import Ring
from common.secure_aggregation.messages import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    Advertisement,
    Confirmation,
    Revealed,
    SealedShares,
)
from common.secure_aggregation.session import MOST_MEMBERS, SecureSumRefused
from common.secure_aggregation.shamir import SHARE_BYTES

INTRODUCE: Final = "introduce"
ADVERTISE: Final = "advertise"
SHARE: Final = "share"
MASK: Final = "mask"
CONFIRM: Final = "confirm"
REVEAL: Final = "reveal"
STEPS: Final = (INTRODUCE, ADVERTISE, SHARE, MASK, CONFIRM, REVEAL)

LONGEST_INTRODUCTION: Final = 8 * 1024
SEALED_BYTES: Final = 12 + 2 * SHARE_BYTES + 16
"""Nonce, two shares, tag."""
_MEMBER: Final = 4
_DIGEST: Final = 64
T = TypeVar("T")


class Invitation(NamedTuple):
    """What step 1 tells a device: attempt, SHA-256 of the head, who may take part.

    Introductions are in the order of the members' numbers, from 1.
    """

    attempt: int
    head: str
    introductions: tuple[bytes, ...]


def write_invitation(told: Invitation) -> bytes:
    """To every device that is asked."""
    parts = [len(each).to_bytes(_MEMBER, "big") + each for each in told.introductions]
    return told.attempt.to_bytes(_MEMBER, "big") + told.head.encode("ascii") + b"".join(parts)


def read_invitation(data: bytes) -> Invitation:
    """Inverse of `write_invitation`.

    Raises:
        SecureSumRefused: cut short, too long or too many.
    """
    attempt, start = _number(data[:_MEMBER]), _MEMBER + _DIGEST
    found: list[bytes] = []
    while start < len(data) and len(found) <= MOST_MEMBERS:
        size = _number(data[start : start + _MEMBER])
        start += _MEMBER
        found.append(data[start : start + size])
        start += size
        if size > LONGEST_INTRODUCTION:
            break
    try:
        told = Invitation(attempt, data[_MEMBER : _MEMBER + _DIGEST].decode("ascii"), tuple(found))
    except UnicodeDecodeError:
        raise _refused("invitation") from None
    if len(found) > MOST_MEMBERS or write_invitation(told) != data:
        raise _refused("invitation")
    return told


def write_keys(told: Advertisement) -> bytes:
    """A member's two public keys and signature."""
    return told.sealing + told.masking + told.signature


def read_keys(member: int, data: bytes) -> Advertisement:
    """Inverse of `write_keys`.

    Raises:
        SecureSumRefused: of another size.
    """
    if len(data) != 2 * KEY_BYTES + SIGNATURE_BYTES:
        raise _refused("keys")
    masking, signature = data[KEY_BYTES : 2 * KEY_BYTES], data[2 * KEY_BYTES :]
    return Advertisement(member, data[:KEY_BYTES], masking, signature)


def write_all_keys(told: Iterable[Advertisement]) -> bytes:
    """All keys that were advertised."""
    return b"".join(_told(each.member) + write_keys(each) for each in told)


def read_all_keys(data: bytes) -> list[Advertisement]:
    """Inverse of `write_all_keys`; raises as `read_keys`."""
    return _records(data, 2 * KEY_BYTES + SIGNATURE_BYTES, "keys", read_keys)


def write_shares(told: Iterable[SealedShares]) -> bytes:
    """A member's sealed shares for all others."""
    return b"".join(_told(each.receiver) + each.sealed for each in told)


def read_shares(sender: int, data: bytes) -> list[SealedShares]:
    """Inverse of `write_shares`.

    Raises:
        SecureSumRefused: of another size.
    """
    return _records(data, SEALED_BYTES, "shares", lambda to, each: SealedShares(sender, to, each))


def write_incoming(told: Iterable[SealedShares]) -> bytes:
    """What all others sealed for one member."""
    return b"".join(_told(each.sender) + each.sealed for each in told)


def read_incoming(receiver: int, data: bytes) -> list[SealedShares]:
    """Inverse of `write_incoming`; raises as `read_shares`."""
    return _records(
        data, SEALED_BYTES, "shares", lambda sender, each: SealedShares(sender, receiver, each)
    )


def write_masked(told: Ring) -> bytes:
    """A masked vector, four bytes an entry, little-endian."""
    return np.ascontiguousarray(told, dtype="<u4").tobytes()


def read_masked(data: bytes, length: int) -> Ring:
    """Inverse of `write_masked`, (length,) uint32.

    Raises:
        SecureSumRefused: of another size.
    """
    if len(data) != 4 * length:
        raise _refused("masked vector")
    return np.frombuffer(data, dtype="<u4").astype(np.uint32)


def write_members(told: Iterable[int]) -> bytes:
    """Who is there."""
    return b"".join(_told(member) for member in told)


def read_members(data: bytes) -> list[int]:
    """Inverse of `write_members`.

    Raises:
        SecureSumRefused: of another size.
    """
    return _records(data, 0, "members", lambda member, _: member)


def write_signature(told: Confirmation) -> bytes:
    """One member's signature under who is there."""
    return told.signature


def read_signature(member: int, data: bytes) -> Confirmation:
    """Inverse of `write_signature`.

    Raises:
        SecureSumRefused: of another size.
    """
    if len(data) != SIGNATURE_BYTES:
        raise _refused("signature")
    return Confirmation(member, data)


def write_signatures(told: Iterable[Confirmation]) -> bytes:
    """All signatures under who is there."""
    return b"".join(_told(each.member) + each.signature for each in told)


def read_signatures(data: bytes) -> list[Confirmation]:
    """Inverse of `write_signatures`; raises as `read_signature`."""
    return _records(data, SIGNATURE_BYTES, "signatures", Confirmation)


def write_revealed(told: Revealed) -> bytes:
    """The shares that a member reveals: of own masks, then of pairs' secrets, by member."""
    parts = [_by_member(told.own_masks), _by_member(told.pair_secrets)]
    return _told(len(told.own_masks)) + b"".join(parts)


def read_revealed(member: int, data: bytes) -> Revealed:
    """Inverse of `write_revealed`.

    Raises:
        SecureSumRefused: of another size, or a member's share twice.
    """
    end = _MEMBER + _number(data[:_MEMBER]) * (_MEMBER + SHARE_BYTES)
    if len(data) < end:
        raise _refused("shares")
    own, pairs = (
        _records(part, SHARE_BYTES, "shares", lambda of, share: (of, share))
        for part in (data[_MEMBER:end], data[end:])
    )
    told = Revealed(member, dict(own), dict(pairs))
    if write_revealed(told) != data:
        raise _refused("shares")
    return told


def _by_member(shares: Mapping[int, bytes]) -> bytes:
    return b"".join(_told(member) + shares[member] for member in sorted(shares))


def _records(data: bytes, size: int, what: str, read: Callable[[int, bytes], T]) -> list[T]:
    whole = _MEMBER + size
    if len(data) % whole or len(data) // whole > MOST_MEMBERS:
        raise _refused(what)
    rows: Sequence[bytes] = [data[at : at + whole] for at in range(0, len(data), whole)]
    return [read(_number(row[:_MEMBER]), row[_MEMBER:]) for row in rows]


def _told(member: int) -> bytes:
    return member.to_bytes(_MEMBER, "big")


def _number(data: bytes) -> int:
    if len(data) != _MEMBER:
        raise _refused("step")
    return int.from_bytes(data, "big")


def _refused(what: str) -> SecureSumRefused:
    return SecureSumRefused(f"the {what} of a secure sum's step came in another form")
