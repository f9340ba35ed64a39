"""What this device knows of a user, readable: the answer to "what do you have of me"."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from client.device.described import clip_row, release_row, user_row
from client.device.due import feature_spec
from client.vault.errors import RowDamaged
from client.vault.records import Clip, StoredHead, User
from client.vault.vault import Vault
from common.identity.records import RECORDS

Numbers = npt.NDArray[Any]


def export(vault: Vault, users: tuple[User, ...], *, full: bool) -> dict[str, Any]:
    """All that the vault holds of these users, and what left the device.

    Args:
        vault: the device's.
        users: whose.
        full: with every number of embeddings, features and heads; else these are described by
            shape, mean, least and largest value.
    """
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "numbers": "in full" if full else "described (in full with --full)",
        "users": [_user(vault, user, full=full) for user in users],
        "universal_head": _head(vault.universal, full=False),
        "left_this_device": [
            release_row(entry) for entry in vault.ledger.entries() if "arrays" in entry
        ],
    }


def _user(vault: Vault, user: User, *, full: bool) -> dict[str, Any]:
    names = {user.id: user.name}
    return {
        **user_row(vault, user),
        "face": [
            {"network": spec, "embeddings": numbers(entry.embeddings, full=full)}
            for spec in identity_specs()
            for entry in vault.gallery(spec)
            if entry.user == user.id
        ],
        "own_clips": [_clip(vault, clip, names, full=full) for clip in vault.clips(user=user.id)],
        "personal_head": _head(lambda: vault.personal(user.id), full=full),
    }


def identity_specs() -> tuple[str, ...]:
    """Specs of all known identity networks."""
    return tuple(f"{record.id}/{record.version}" for record in RECORDS.values())


def _clip(vault: Vault, clip: Clip, names: dict[str, str], *, full: bool) -> dict[str, Any]:
    row = clip_row(clip, names, feature_spec(vault)) | {"digest": clip.digest, "made_by": clip.spec}
    try:
        arrays = vault.arrays(clip.id)
    except RowDamaged as error:
        return row | {"features": str(error)}
    own = None if arrays.own is None else [round(float(value), 4) for value in arrays.own]
    return row | {"features": numbers(arrays.features, full=full), "backbone_logits": own}


def _head(read: Callable[[], StoredHead | None], *, full: bool) -> dict[str, Any] | None:
    try:
        head = read()
    except RowDamaged as error:
        return {"damaged": str(error)}
    if head is None:
        return None
    return {
        "about": dict(head.about),
        "arrays": {name: numbers(array, full=full) for name, array in head.arrays.items()},
    }


def numbers(array: Numbers, *, full: bool) -> Any:
    """An array as nested lists, or described."""
    if full:
        return array.tolist()
    told: dict[str, Any] = {"shape": list(array.shape)}
    if array.size:
        least, largest = float(np.min(array)), float(np.max(array))
        told |= {"mean": round(float(np.mean(array)), 4)}
        told |= {"least": round(least, 4), "largest": round(largest, 4)}
    return told
