"""One sum per head: a member who helped to reveal a sum helps with no other over the same head.

Two sums over one head that differ by one member are that member's update. Any two groups that can
reveal a sum share `2 threshold - members` members at least; if one of these is honest, the second
sum is never revealed. The ledger remembers, so that a restart forgets nothing.

A reference does not depend on the head: it is revealed once for a kind of features. And rounds go
forward only. Heads that differ by a hair are two heads: no hash can tell that a server means one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from common.heads.specification import REFERENCE_STAGE
from common.secure_aggregation.session import SecureSumRefused, Session

EVENT: Final = "secure sum revealed"
_NAMES: Final = ("fleet", "federation", "specification", "stage")
"""Of one row of rounds."""


def revealed_entry(session: Session, *, features: str = "", fleet: str = "") -> dict[str, Any]:
    """What goes into the ledger before the reply of the last step leaves.

    Args:
        session: the sum's.
        features: id of what made the features, see `HeadSpecification`.
        fleet: that the device is in; empty in a simulation.
    """
    return {
        "event": EVENT,
        "fleet": fleet,
        "federation": session.federation,
        "stage": session.stage,
        "round": session.round,
        "attempt": session.attempt,
        "head": session.head,
        "specification": session.specification,
        "features": features,
        "session": session.digest.hex(),
        "stay": session.threshold,
        "members": len(session.roster),
    }


def check_not_replayed(
    entries: Iterable[Mapping[str, Any]],
    session: Session,
    *,
    features: str = "",
    fleet: str = "",
    federations_apart: bool = False,
) -> None:
    """Refuse another sum over a head for which this device revealed shares.

    To be asked before the first and before the last step: two sessions may run side by side.

    Args:
        entries: of the device's ledger.
        session: that it is asked to take part in.
        features, fleet: as in `revealed_entry`.
        federations_apart: whether sums of other federations do not count. Only for a simulation,
            whose folds leave out other users over the same first head on purpose; on a device it
            would let a server tell two groups' sums apart by a federation's name.

    Raises:
        SecureSumRefused: there was such a sum, this session's own included; or the round was
            before one that was revealed.
    """
    asked = revealed_entry(session, features=features, fleet=fleet)
    for entry in entries:
        if entry.get("event") != EVENT:
            continue
        if federations_apart and entry.get("federation") != session.federation:
            continue
        if _over_the_same(entry, asked):
            raise SecureSumRefused(
                f"this device helped to reveal a sum over the same {_what(session)} in round "
                f"{entry.get('round')}; a second one could tell what one device sent"
            )
        if _goes_back(entry, asked):
            raise SecureSumRefused(
                f"the server asks for round {session.round}, but this device helped to reveal "
                f"round {entry['round']}; rounds go forward only"
            )


def check_new_session(entries: Iterable[Mapping[str, Any]], session: Session) -> None:
    """Refuse to begin a session anew in which this device has sent a masked vector.

    Signatures of its steps would be good for both.

    Raises:
        SecureSumRefused: the ledger knows of one.
    """
    digest = session.digest.hex()
    for entry in entries:
        told = entry.get("secure_sum")
        if isinstance(told, Mapping) and told.get("session") == digest:
            raise SecureSumRefused("the server begins a secure sum anew that this device was in")


def _over_the_same(entry: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    if entry.get("head") == asked["head"]:
        return True
    both = entry.get("stage") == asked["stage"] == REFERENCE_STAGE
    return both and bool(entry.get("features") == asked["features"])


def _goes_back(entry: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    same_row = all(entry.get(name) == asked[name] for name in _NAMES)
    return same_row and bool(entry["round"] >= asked["round"])


def _what(session: Session) -> str:
    return "features" if session.stage == REFERENCE_STAGE else "head"
