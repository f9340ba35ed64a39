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


def check_not_replayed(entries: Iterable[Mapping[str, Any]], session: Session) -> None:
    """Refuse another sum over a head for which this device revealed shares.

    To be asked before the first and before the last step: two sessions may run side by side.

    Raises:
        SecureSumRefused: there was such a sum, this session's own included.
    """
    for entry in entries:
        if entry.get("event") == EVENT and entry.get("head") == session.head:
            raise SecureSumRefused(
                f"this device helped to reveal a sum over the same head in round "
                f"{entry.get('round')}; a second one could tell what one device sent"
            )
