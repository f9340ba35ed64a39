"""One attempt at a secure sum: who may take part, under which rules, on which head."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from common.errors import UsageError, WorkError

FEWEST_MEMBERS = 3
MOST_MEMBERS = 1024
Roster = Mapping[int, bytes]
"""Identity keys (Ed25519, raw, 32 bytes) by member number 1, 2, ...: known out of band."""


class SecureSumRefused(WorkError):
    """A member or the server stops: going on could reveal more than the sum. Names the rule."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """What all members must agree on; two that differ in anything never share a mask.

    Attributes:
        federation: name.
        stage: of the round: what is summed.
        round: of the federation.
        attempt: at this round, from 0; a new attempt has new keys.
        terms: SHA-256 of all that members train, clip and noise by: one who trains by other terms
            than the rest, or whom the server told more noise than it asks for, would stand out in
            the sum.
        specification: number of the head's specification.
        head: SHA-256 of the head that was sent out: who got another head is found out.
        length: entries of a vector.
        clip: largest absolute value of an entry before encoding.
        bits: of an encoded entry; `clip` is the largest number that they hold.
        threshold: members without whom nothing is revealed; more than half of the roster. Then any
            two groups that could reveal a sum share members, and one of these, asked for a second
            sum over the same head, refuses: `2 threshold - members` at least, of whom all would
            have to be the server's accomplices. `safest` leaves a third for that.
        roster: of all members who may take part.

    Raises:
        UsageError: a threshold, size or roster that gives no protection, or sums that overflow.
    """

    federation: str
    stage: str
    round: int
    attempt: int
    terms: str
    specification: int
    head: str
    length: int
    clip: float
    bits: int
    threshold: int
    roster: Roster = field(repr=False)

    def __post_init__(self) -> None:
        members = len(self.roster)
        if not FEWEST_MEMBERS <= members <= MOST_MEMBERS:
            raise UsageError(
                f"a secure sum needs {FEWEST_MEMBERS} to {MOST_MEMBERS} members, found {members}"
            )
        if set(self.roster) != set(range(1, members + 1)):
            raise UsageError("members of a secure sum are numbered 1, 2, ... without gaps")
        if len(set(self.roster.values())) != members:
            raise UsageError("two members of a secure sum have the same identity key")
        if not members < 2 * self.threshold <= 2 * members:
            raise UsageError(
                f"threshold is {self.threshold} of {members} members, expected more than half "
                f"({members // 2 + 1}) and at most all"
            )
        if not 2 <= self.bits <= most_bits(members):
            raise UsageError(
                f"bits is {self.bits}, expected 2 to {most_bits(members)} for {members} members"
            )
        if not (self.length >= 1 and 0 < self.clip < float("inf")):
            raise UsageError(
                f"length is {self.length} and clip {self.clip}, expected at least 1 and above 0"
            )

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over all of it: goes into every signature and every derived key."""
        told = {name: value for name, value in self.__dict__.items() if name != "digest"}
        told["roster"] = {str(member): key.hex() for member, key in sorted(self.roster.items())}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()

    @property
    def step(self) -> float:
        """Distance of two encoded numbers; one member's entry is off by at most half of it."""
        return self.clip / float(2 ** (self.bits - 1) - 1)


def most_bits(members: int) -> int:
    """Bits of an entry such that a sum over all members fits 32 bits with a sign.

    >>> most_bits(3), most_bits(24), most_bits(100)
    (30, 27, 25)
    """
    return 32 - (members - 1).bit_length()


def fewest(members: int) -> int:
    """The smallest threshold: more than half.

    >>> fewest(3), fewest(24), fewest(100)
    (2, 13, 51)
    """
    return members // 2 + 1


def safest(members: int) -> int:
    """The default threshold: more than two thirds.

    >>> safest(3), safest(24), safest(100)
    (3, 17, 67)
    """
    return 2 * members // 3 + 1
