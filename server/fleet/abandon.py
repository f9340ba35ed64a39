"""Giving up a secure sum whose members will not all come back: the operator's decision alone.

Devices that revealed shares help with no other sum over the same head, and the server never learnt
the one that is given up, so that no two sums can be compared. See docs/fleet.md.
"""

from __future__ import annotations

from common.errors import UsageError
from server.checkpoint import load_checkpoint
from server.fleet.folder import FleetFolder
from server.fleet.rounds import CHECKPOINT
from server.secure_aggregation.unfinished import FILE, OnDisk, Unfinished


def abandon_sum(folder: FleetFolder) -> Unfinished:
    """Give up the sum that a federation's next round waits for; a running server sees it at once.

    Returns:
        What is known of it.

    Raises:
        UsageError: no sum is waited for.
        WorkError: the federation's files are damaged, or none has begun.
    """
    state = load_checkpoint(folder.federation / CHECKPOINT, folder.settings().plan)
    place = OnDisk(folder.federation / FILE)
    kept = place.read()
    first = 0 if folder.reference() is None else 1
    if kept is None or kept.round != (state.round if state else first):
        raise UsageError(
            f"no secure sum of {folder.root} waits for its members' shares: there is nothing to "
            "give up"
        )
    place.abandon()
    return kept
