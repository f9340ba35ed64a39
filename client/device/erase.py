"""Erasing a user, and looking afterwards whether anything is left."""

from __future__ import annotations

from typing import Any, Final

from client.device.due import stored_personal
from client.vault.errors import VaultBusy
from client.vault.records import User
from client.vault.vault import Vault
from common.errors import WorkError

SENT: Final = (
    "updates that already left this device can't be called back; backups and copies of this "
    "device's folder still hold what they held"
)


def forget(vault: Vault, user: User) -> dict[str, Any]:
    """Erase all of a user.

    Returns:
        user, erased (rows by table), left (0), releases (updates that left this device, of all its
        users together), note.

    Raises:
        WorkError: something of the user can still be found.
    """
    ids = [user.id, *(clip.id for clip in vault.clips(user=user.id))]
    erased: dict[str, int] | None = None
    try:
        erased = vault.forget(user.id)
    except VaultBusy:
        if vault.user_by_id(user.id) is not None:
            raise
    left = _left_in_tables(vault, user) + vault.remains(id.encode() for id in ids)
    if left or erased is None:
        raise WorkError(
            f"{user.name} was erased, but old encrypted pages stay in the vault's journal for as "
            "long as another program reads it; end that program, and the next command (mien users) "
            "clears them"
        )
    return {
        "user": user.name,
        "erased": erased,
        "left": left,
        "releases": sum("arrays" in entry for entry in vault.ledger.entries()),
        "note": SENT,
    }


def _left_in_tables(vault: Vault, user: User) -> int:
    return (
        (vault.user_by_id(user.id) is not None)
        + (vault.user(user.name) is not None)
        + len(vault.clips(user=user.id))
        + (stored_personal(vault, user.id) is not None)
    )
