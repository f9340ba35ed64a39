"""Users, clips and releases as JSON documents for the command line, the page and the export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client.device.due import (
    feature_spec,
    progress,
    usable_personal,
    usable_universal,
    why_not_personal,
)
from client.recognition.answer import BACKBONE, PERSONAL, UNIVERSAL
from client.vault.errors import RowDamaged
from client.vault.records import Clip, StoredHead, User
from client.vault.vault import Vault
from common.expressions import EXPRESSIONS

_RELEASE = ("when", "federation", "run", "round", "stage", "clips", "bytes", "clip_norm")


def user_row(vault: Vault, user: User) -> dict[str, Any]:
    """One user: consent, clips and the head in use.

    Returns:
        name, id, enrolled, consent (version, given, federate), clips, waiting (for the user's
        word), labelled, corrected (of these, to another expression than was answered),
        other_backbone (clips whose features are not the ones in use), new_corrections, due, head
        (kind and reason) and comparison (right answers before and after learning, or None).
    """
    spec = feature_spec(vault)
    clips = vault.clips(user=user.id)
    labelled = [clip for clip in clips if clip.label is not None]
    came = progress(vault, user.id, clips)
    stored = _usable(vault, user, spec)
    return {
        "name": user.name,
        "id": user.id,
        "enrolled": user.enrolled,
        "consent": {
            "version": user.consent.version,
            "given": user.consent.given,
            "federate": user.consent.federate,
        },
        "clips": len(clips),
        "waiting": len(clips) - len(labelled),
        "labelled": len(labelled),
        "corrected": sum(clip.label != clip.guessed for clip in labelled),
        "other_backbone": sum(clip.spec != spec for clip in clips),
        "new_corrections": came.new,
        "due": came.due,
        "head": head_in_use(vault, stored, spec, why_not_personal(vault, user.id)),
        "comparison": None if stored is None else stored.about.get("comparison"),
    }


def _usable(vault: Vault, user: User, spec: str | None) -> StoredHead | None:
    try:
        return None if spec is None else usable_personal(vault, user.id, spec)
    except RowDamaged:  # of the universal head; `head_in_use` says so
        return None


def head_in_use(
    vault: Vault, stored: StoredHead | None, spec: str | None, why_not: str = ""
) -> dict[str, str]:
    """Which head reads a user's clips, and why.

    Args:
        vault: the device's.
        stored: the user's usable personal head, or None.
        spec: of the features in use.
        why_not: why there is no usable one.
    """
    reason = why_not if stored is None else str(stored.about.get("reason", ""))
    if stored is not None and stored.about.get("personal"):
        return {"kind": PERSONAL, "reason": reason}
    try:
        has_universal = spec is not None and usable_universal(vault, spec) is not None
    except RowDamaged as damage:
        return {"kind": UNIVERSAL, "reason": str(damage)}
    return {"kind": UNIVERSAL if has_universal else BACKBONE, "reason": reason}


def clip_row(clip: Clip, users: Mapping[str, str], spec: str | None) -> dict[str, Any]:
    """One clip: whose it is, what was answered, what the user said.

    Returns:
        id, name, user, added, expression and probabilities (answered), confidence, label
        (expression the user gave, or None), corrected, head, reason, warnings, likeness, moments,
        other_backbone.
    """
    answer = clip.answer
    told = answer.get("probabilities", {})
    shares = {name: told[name] for name in EXPRESSIONS if name in told}
    return {
        "id": clip.id,
        "name": clip.name,
        "user": users.get(clip.user, ""),
        "added": clip.added,
        "expression": EXPRESSIONS[clip.guessed],
        "probabilities": shares,
        "confidence": max(shares.values(), default=0.0),
        "label": None if clip.label is None else EXPRESSIONS[clip.label],
        "corrected": clip.label is not None and clip.label != clip.guessed,
        "head": answer.get("head", ""),
        "reason": answer.get("reason", ""),
        "warnings": list(answer.get("warnings", ())),
        "likeness": answer.get("likeness"),
        "moments": list(answer.get("moments", ())),
        "other_backbone": spec is not None and clip.spec != spec,
    }


def release_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One ledger entry: what left, in which round, how large, under which protection.

    Returns:
        when, federation, run, round, stage, clips (of this device, also where a secure sum told
        nobody their number), bytes (of the whole reply), clip_norm and noise (its multiplier; None
        where none was used), members (of the secure sum; None without one) and arrays (name,
        shape, bytes, sha256).
    """
    noise, summed = entry.get("noise"), entry.get("secure_sum")
    arrays = [
        {key: array.get(key) for key in ("name", "shape", "bytes", "sha256")}
        for array in entry.get("arrays", ())
    ]
    return {
        **{key: entry.get(key) for key in _RELEASE},
        "clips": entry.get("own_clips", entry.get("clips")),
        "noise": noise.get("multiplier") if isinstance(noise, Mapping) else noise,
        "members": summed.get("members") if isinstance(summed, Mapping) else None,
        "arrays": arrays,
    }
