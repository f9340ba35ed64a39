"""Which head a device builds on, and when personalising is due. Loads neither torch nor a model.

The base is the universal head where the device has one for its features, else the backbone's own
labels. A personal head is a correction of one base: with another base it rests until it is fitted
again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from client.vault.errors import RowDamaged
from client.vault.records import Clip, StoredHead
from client.vault.vault import Vault
from common.errors import UsageError

FEATURES_SETTING: Final = "features"
"""Spec of the features that the device's backbone makes, kept since a recogniser was last used."""
PERSONALISE_AFTER_SETTING: Final = "personalise_after"
PERSONALISE_AFTER: Final = 3
"""As few as can already bear a personal head out; personalising takes about a second."""


def feature_spec(vault: Vault) -> str | None:
    """Spec of the features in use; that of the newest clip where no recogniser ran yet."""
    kept = vault.setting(FEATURES_SETTING)
    if kept is not None:
        return str(kept)
    newest = vault.clips()
    return newest[0].spec if newest else None


def keep_feature_spec(vault: Vault, spec: str) -> None:
    """Remember which features are in use."""
    if vault.setting(FEATURES_SETTING) != spec:
        vault.set_setting(FEATURES_SETTING, spec)


def specification_of(head: StoredHead) -> Mapping[str, Any]:
    """What a stored universal head says of itself; empty where it says nothing."""
    told = head.about.get("specification", {})
    found = json.loads(told) if isinstance(told, str) else told
    return found if isinstance(found, Mapping) else {}


def usable_universal(vault: Vault, spec: str) -> StoredHead | None:
    """The device's universal head, if it reads features of this spec."""
    head = vault.universal()
    if head is None or specification_of(head).get("features") != spec:
        return None
    return head


def base_digest(universal: StoredHead | None) -> str:
    """Which base a personal head corrects: SHA-256 of the universal head, empty for none."""
    if universal is None:
        return ""
    told = hashlib.sha256(json.dumps(specification_of(universal), sort_keys=True).encode())
    for name in sorted(universal.arrays):
        told.update(name.encode())
        told.update(np.ascontiguousarray(universal.arrays[name]).tobytes())
    return told.hexdigest()


def stored_personal(vault: Vault, user: str) -> StoredHead | None:
    """A user's personal head; a damaged one counts as missing, since it can be fitted again."""
    try:
        return vault.personal(user)
    except RowDamaged:
        return None


def usable_personal(vault: Vault, user: str, spec: str) -> StoredHead | None:
    """A user's stored personal head, if it corrects the base that is in use now.

    Raises:
        RowDamaged: the universal head is damaged.
    """
    stored = stored_personal(vault, user)
    if stored is None or stored.about.get("features") != spec:
        return None
    base = base_digest(usable_universal(vault, spec))
    return stored if stored.about.get("base") == base else None


def why_not_personal(vault: Vault, user: str) -> str:
    """Why no personal head of a user can be used, where `usable_personal` finds none."""
    if stored_personal(vault, user) is None:
        return "nothing was learnt from this user's corrections yet"
    return "what was learnt corrects another head; it rests until it is fitted again"


def labels_of(clips: tuple[Clip, ...], spec: str | None) -> dict[str, int]:
    """Labels by clip id, of clips whose features are of this spec."""
    return {clip.id: clip.label for clip in clips if clip.label is not None and clip.spec == spec}


@dataclass(frozen=True)
class Progress:
    """What came since a user's head was last fitted.

    Attributes:
        new: labels given, changed or taken back.
        due: whether the head should be fitted now: enough new labels, or a base of another kind.
    """

    new: int
    due: bool


def progress(vault: Vault, user: str, clips: tuple[Clip, ...] | None = None) -> Progress:
    """What came since a user's head was last fitted; `clips` spares listing the user's again."""
    spec = feature_spec(vault)
    mine = vault.clips(user=user, labelled=True) if clips is None else clips
    now = labels_of(mine, spec)
    stored = stored_personal(vault, user)
    fitted = stored is not None and stored.about.get("features") == spec
    then = stored.about.get("labels", {}) if stored is not None and fitted else {}
    new = sum(now.get(id) != then.get(id) for id in now.keys() | then.keys())
    if new >= personalise_after(vault) or stored is None or spec is None:
        return Progress(new, new >= personalise_after(vault))
    try:
        return Progress(new, bool(now) and usable_personal(vault, user, spec) is None)
    except RowDamaged:  # nothing can be fitted on a damaged universal head
        return Progress(new, False)


def new_corrections(vault: Vault, user: str) -> int:
    """Labels given, changed or taken back since the user's head was last fitted."""
    return progress(vault, user).new


def is_due(vault: Vault, user: str) -> bool:
    """Whether a user's head should be fitted now."""
    return progress(vault, user).due


def personalise_after(vault: Vault) -> int:
    """New corrections after which a head is fitted."""
    return int(vault.setting(PERSONALISE_AFTER_SETTING, PERSONALISE_AFTER))


def set_personalise_after(vault: Vault, corrections: int) -> None:
    """Change it.

    Raises:
        UsageError: it is below 1.
    """
    if corrections < 1:
        raise UsageError(
            f"personalising after {corrections} corrections is not possible; name at least 1"
        )
    vault.set_setting(PERSONALISE_AFTER_SETTING, corrections)
