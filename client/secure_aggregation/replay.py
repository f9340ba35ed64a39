"""One sum per head: a member who helped to reveal a sum helps with no other over the same head.

Two sums over one head that differ by one member are that member's update. Any two groups that can
reveal a sum share `2 threshold - members` members at least; if one of these is honest, the second
sum is never revealed. The ledger remembers, so that a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from common.secure_aggregation.session import SecureSumRefused, Session

EVENT: Final = "secure sum revealed"


def revealed_entry(session: Session) -> dict[str, Any]:
    """What goes into the ledger before the reply of the last step leaves."""
    return {
        "event": EVENT,
        "federation": session.federation,
        "round": session.round,
        "attempt": session.attempt,
        "head": session.head,
        "session": session.digest.hex(),
        "stay": session.threshold,
        "members": len(session.roster),
    }


def check_not_replayed(
    entries: Iterable[Mapping[str, Any]], session: Session, *, federations_apart: bool = False
) -> None:
    """Refuse another sum over a head for which this device revealed shares.

    To be asked before the first and before the last step: two sessions may run side by side.

    Args:
        entries: of the device's ledger.
        session: that it is asked to take part in.
        federations_apart: whether sums of other federations do not count. Only for a simulation,
            whose folds leave out other users over the same first head on purpose; on a device it
            would let a server tell two groups' sums apart by a federation's name.

    Raises:
        SecureSumRefused: there was such a sum, this session's own included.
    """
    for entry in entries:
        if entry.get("event") != EVENT or entry.get("head") != session.head:
            continue
        if not federations_apart or entry.get("federation") == session.federation:
            raise SecureSumRefused(
                f"this device helped to reveal a sum over the same head in round "
                f"{entry.get('round')}; a second one could tell what one device sent"
            )
