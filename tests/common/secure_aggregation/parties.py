"""A whole secure sum in one process: members who leave at any step, and a server."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.secure_aggregation.member import Member
from common.secure_aggregation.encoding import Vector
from common.secure_aggregation.session import Session, most_bits, safest
from server.secure_aggregation.aggregator import Aggregator


def identities(members: int) -> dict[int, Ed25519PrivateKey]:
    """Fixed keys: tests that plant faults want the same every time."""
    return {
        number: Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
        for number in range(1, members + 1)
    }


def session_of(members: int, *, length: int = 6, clip: float = 1.0, **changes: object) -> Session:
    roster = {n: key.public_key().public_bytes_raw() for n, key in identities(members).items()}
    settings: dict[str, object] = {
        "federation": "all",
        "stage": "head",
        "round": 1,
        "attempt": 0,
        "terms": "0" * 64,
        "specification": 7,
        "head": "0" * 64,
        "length": length,
        "clip": clip,
        "bits": most_bits(members),
        "threshold": safest(members),
        "roster": roster,
    }
    return Session(**{**settings, **changes})  # type: ignore[arg-type]


def members_of(session: Session) -> dict[int, Member]:
    keys = identities(len(session.roster))
    return {number: Member(session, number, key) for number, key in keys.items()}


def vectors_of(session: Session, seed: int = 0) -> dict[int, Vector]:
    random = np.random.default_rng(seed)
    return {
        number: random.uniform(-session.clip, session.clip, session.length)
        for number in session.roster
    }


def again(members: Mapping[int, Member]) -> dict[int, Member]:
    """Every member from what it saved, as a new process would."""
    return {
        number: Member.restored(
            member.session, member.identity, json.loads(json.dumps(member.saved()))
        )
        for number, member in members.items()
    }


def secure_sum(
    session: Session,
    vectors: Mapping[int, Vector],
    leave: Mapping[str, Collection[int]] | None = None,
    restart: bool = False,
) -> tuple[Vector, Sequence[int], Aggregator]:
    """Run all steps; `leave` says who does not answer at a step any more."""
    members, server = members_of(session), Aggregator(session)
    gone: set[int] = set()

    def here(step: str) -> dict[int, Member]:
        gone.update((leave or {}).get(step, ()))
        left = {number: member for number, member in members.items() if number not in gone}
        if restart:
            members.update(again(left))
            left = {number: members[number] for number in left}
        return left

    keys = server.advertised([member.advertise() for member in here("advertise").values()])
    passed = server.shared({n: member.share(keys) for n, member in here("share").items()})
    there = server.masked(
        {n: member.mask(passed[n], vectors[n]) for n, member in here("mask").items()}
    )
    signed = server.confirmed([member.confirm(there) for member in here("confirm").values()])
    total = server.unmasked([member.reveal(signed) for member in here("reveal").values()])
    return total, there, server
