"""What a simulation's federations promise, each by itself, and what they cost a user together.

A user is held out of one fold and trains in all others, whose heads are all published: the promise
to that user is that of all these releases composed, not that of one federation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.privacy.accountant import (
    NoisyRelease,
    PrivacyState,
    compose,
    from_record,
    record,
    voided,
)
from server.run import PRIVACY

Record = Mapping[str, Any]


def privacy_of(
    root: Path, held_out: Mapping[str, Sequence[str]], users: Sequence[str]
) -> dict[str, Any]:
    """`composed` for the simulation in folder `root`, whose server has told of its federations."""
    told = json.loads((root / "server" / PRIVACY).read_text(encoding="utf-8"))
    return composed(told, held_out, users)


def composed(
    per_federation: Mapping[str, Record],
    held_out: Mapping[str, Sequence[str]],
    users: Sequence[str],
) -> dict[str, Any]:
    """What stands in the results: `per_federation`, and `per_user`, who was in most of them.

    Args:
        per_federation: what `server.noising.privacy_record` told of each; empty without noise.
        held_out: users that were no members, by federation; those without any need not be there.
        users: all of them, at least one.

    Returns:
        Nothing without noise. `per_user` is a record like the others, of the user whose releases
        cost most, with how many `federations` those came from.
    """
    if not per_federation:
        return {}
    memberships = {
        tuple(name for name in sorted(per_federation) if user not in held_out.get(name, ()))
        for user in users
    }
    costs = {names: _together([per_federation[name] for name in names]) for names in memberships}
    names = max(sorted(costs), key=lambda each: costs[each].mu)
    delta = max(float(told["delta"]) for told in per_federation.values())
    told = {**record(costs[names], delta), "federations": len(names)}
    return {"per_federation": dict(per_federation), "per_user": told}


def _together(records: Sequence[Record]) -> PrivacyState:
    """All releases of several records in one state."""
    state = PrivacyState()
    for each in map(from_record, records):
        for multiplier, count in each.releases:
            state = compose(state, NoisyRelease(multiplier=multiplier), count)
        for reason in each.void:
            state = voided(state, reason)
    return state
