"""A secure sum of a fleet in one process: Mien's, and Flower's SecAgg+ on the same vectors.

Both go through every step as bytes or Flower messages; nothing travels. The vectors are synthetic
numbers of the size of a linear head's update on 1280 features. The ways take turns, so that what
else the machine does hits both alike. What the two promise differs: see docs/secure-aggregation.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.secure_aggregation.member import Member
from common.heads.specification import HEAD_STAGE
from common.randomness import generator
from common.secure_aggregation import steps
from common.secure_aggregation.encoding import Vector
from common.secure_aggregation.session import Session, most_bits, safest
from server.audit.stock_secagg import exchange
from server.secure_aggregation.aggregator import Aggregator

MEMBERS: Final = 24
LENGTH: Final = 10_248
CLIP: Final = 8.0
MOST_SECONDS: Final = 1.5
"""Compute of a round that Mien allows itself for 24 clients of such a head."""
Timed = Callable[[], Vector]


def measure(
    repeats: int, seed: int, *, members: int = MEMBERS, length: int = LENGTH
) -> dict[str, Any]:
    """Time both by turns.

    Args:
        repeats: turns, at least 1.
        seed: of the synthetic vectors.
        members: of the fleet, all of whom stay.
        length: entries of a vector.

    Returns:
        Medians `mien_s`, `stock_s`, their `ratio`, `limit_s`; `largest_error` of an entry of either
        mean; and what was measured.
    """
    random = generator(seed, "bench secure sum")
    vectors = {n: random.uniform(-1, 1, length) for n in range(1, members + 1)}
    truth = np.mean(list(vectors.values()), axis=0)
    keys = {n: Ed25519PrivateKey.generate() for n in vectors}
    ways: dict[str, Timed] = {
        "mien": lambda: secure_sum(vectors, keys) / members,
        "stock": lambda: _stock_mean(vectors),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    errors: dict[str, float] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            found = way()
            times[name].append(time.perf_counter() - began)
            errors[name] = float(np.abs(found - truth).max())
    medians = {f"{name}_s": statistics.median(each) for name, each in times.items()}
    return {
        **medians,
        "ratio": medians["mien_s"] / medians["stock_s"],
        "limit_s": MOST_SECONDS,
        "spread_s": {name: [min(each), max(each)] for name, each in times.items()},
        "largest_error": errors,
        "members": members,
        "length": length,
        "repeats": repeats,
    }


def _stock_mean(vectors: dict[int, Vector]) -> Vector:
    total = exchange(vectors, dict.fromkeys(vectors, 1000)).total
    return np.asarray(total[:-1] / total[-1])


def secure_sum(vectors: dict[int, Vector], keys: dict[int, Ed25519PrivateKey]) -> Vector:
    """All steps of one session, its messages written to bytes and read again; the decoded sum."""
    session = session_of(vectors, keys)
    members = {number: Member(session, number, key) for number, key in keys.items()}
    server = Aggregator(session)
    told = [steps.write_keys(member.advertise()) for member in members.values()]
    advertised = server.advertised(
        [steps.read_keys(n, data) for n, data in zip(members, told, strict=True)]
    )
    keys_told = steps.write_all_keys(advertised)
    shared = {
        n: steps.read_shares(n, steps.write_shares(member.share(steps.read_all_keys(keys_told))))
        for n, member in members.items()
    }
    passed_on = {n: steps.write_incoming(each) for n, each in server.shared(shared).items()}
    there = server.masked(
        {
            n: steps.read_masked(
                steps.write_masked(member.mask(steps.read_incoming(n, passed_on[n]), vectors[n])),
                session.length,
            )
            for n, member in members.items()
        }
    )
    signed = server.confirmed([member.confirm(there) for member in members.values()])
    signatures = steps.write_signatures(signed)
    revealed = [
        steps.read_revealed(
            n, steps.write_revealed(member.reveal(steps.read_signatures(signatures)))
        )
        for n, member in members.items()
    ]
    return server.unmasked(revealed)


def session_of(vectors: dict[int, Vector], keys: dict[int, Ed25519PrivateKey]) -> Session:
    """A session for vectors with entries within `CLIP`."""
    return Session(
        federation="bench",
        stage=HEAD_STAGE,
        round=1,
        attempt=0,
        terms="0" * 64,
        specification=1,
        head="0" * 64,
        length=len(next(iter(vectors.values()))),
        clip=CLIP,
        bits=most_bits(len(keys)),
        threshold=safest(len(keys)),
        roster={n: key.public_key().public_bytes_raw() for n, key in keys.items()},
    )
