"""Personalising: learn a user's head from the clips in the vault, and read the waiting ones anew.

Heavy: imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy.special import softmax

from client.device.bases import Base, Eye, Sight, base_of
from client.device.due import feature_spec, labels_of
from client.device.personal import Fitted, fit, head_arrays
from client.device.readers import MOST_CLIPS
from client.personalisation.solver import Rows
from client.recognition.answer import BACKBONE, PERSONAL, Answer
from client.vault.errors import RowDamaged
from client.vault.records import Clip, Floats, StoredHead
from client.vault.vault import Vault
from common.errors import UsageError
from common.expressions import EXPRESSIONS


@dataclass(frozen=True, eq=False)
class Taken:
    """A user's clips as they were read from the vault, newest first.

    Attributes:
        clips: of the features in use.
        rows: what the base reads of each.
        own: the backbone's own logits of each.
        other_backbone: clips with other features, which are left out.
        damaged: clips whose features can't be decrypted.
        takes: what is the same for clips with the same features.
    """

    clips: tuple[Clip, ...]
    rows: list[Floats]
    own: list[Floats | None]
    takes: list[bytes]
    other_backbone: int
    damaged: int

    def to_learn_from(self) -> list[int]:
        """Indices of labelled clips; of several with the same features the newest."""
        first: dict[bytes, int] = {}
        for index, (clip, take) in enumerate(zip(self.clips, self.takes, strict=True)):
            if clip.label is not None:
                first.setdefault(take, index)
        return sorted(first.values())


def personalise(vault: Vault, user_id: str) -> dict[str, Any]:
    """Choose a user's head by evidence, keep it, and read the user's unlabelled clips with it.

    Of a user's clips the newest `MOST_CLIPS` count.

    Returns:
        user, head (kind in use), personal, reason, comparison (see `personal.Comparison`), clips,
        labelled, learnt_from, other_backbone, damaged, answers_changed.

    Raises:
        UsageError: there is no such user (any more).
        WorkError: the universal head can't be used.
    """
    _check_user(vault, user_id)
    spec = feature_spec(vault) or ""
    base = base_of(vault, spec)
    taken = take(vault, base, user_id, spec)
    if not taken.clips:
        return _nothing_to_learn(vault, user_id, base, taken)
    eye = base.get_acquainted(taken.rows)
    sight = eye.see(taken.rows, taken.own)
    chosen = taken.to_learn_from()
    labels = np.array([taken.clips[index].label for index in chosen], dtype=np.int64)
    fitted = fit(sight.select(chosen), labels)
    stored = _stored(base, eye, fitted, taken, spec)
    with vault.transaction():
        _check_user(vault, user_id)
        vault.save_personal(user_id, stored)
        changed = _read_again(vault, taken, sight, fitted, base, stored)
    return {
        **_summary(vault, user_id, base, taken),
        "head": PERSONAL if fitted.personal else base.kind,
        "personal": fitted.personal,
        "reason": stored.about["reason"],
        "comparison": fitted.comparison.to_json(),
        "learnt_from": len(chosen),
        "answers_changed": changed,
    }


def take(vault: Vault, base: Base, user_id: str, spec: str) -> Taken:
    """Read a user's clips, each pooled as soon as it is read where the base allows it."""
    every = vault.clips(user=user_id)
    mine = [clip for clip in every if clip.spec == spec][:MOST_CLIPS]
    found, damaged = [], 0
    for clip in mine:
        try:
            arrays = vault.arrays(clip.id)
        except RowDamaged:
            damaged += 1
            continue
        digest = hashlib.sha256(np.ascontiguousarray(arrays.features).tobytes()).digest()
        found.append((clip, base.rows(arrays.features), arrays.own, digest))
    return Taken(
        clips=tuple(clip for clip, _, _, _ in found),
        rows=[rows for _, rows, _, _ in found],
        own=[own for _, _, own, _ in found],
        takes=[digest for _, _, _, digest in found],
        other_backbone=sum(clip.spec != spec for clip in every),
        damaged=damaged,
    )


def _check_user(vault: Vault, user_id: str) -> None:
    if vault.user_by_id(user_id) is None:
        raise UsageError("this user is not enrolled (any more), so nothing was learnt")


def _nothing_to_learn(vault: Vault, user_id: str, base: Base, taken: Taken) -> dict[str, Any]:
    vault.drop_personal(user_id)
    return {
        **_summary(vault, user_id, base, taken),
        "head": base.kind,
        "personal": False,
        "reason": "no clip of this user can be learnt from yet",
        "comparison": None,
        "learnt_from": 0,
        "answers_changed": 0,
    }


def _summary(vault: Vault, user_id: str, base: Base, taken: Taken) -> dict[str, Any]:
    user = vault.user_by_id(user_id)
    return {
        "user": user.name if user else "",
        "clips": len(taken.clips),
        "labelled": sum(clip.label is not None for clip in taken.clips),
        "other_backbone": taken.other_backbone,
        "damaged": taken.damaged,
    }


def _stored(base: Base, eye: Eye, fitted: Fitted, taken: Taken, spec: str) -> StoredHead:
    about = {
        "features": spec,
        "base": base.digest,
        "personal": fitted.personal,
        "reason": _named(fitted.reason, base),
        "comparison": fitted.comparison.to_json(),
        "labels": labels_of(taken.clips, spec),
        "clips": len(taken.clips),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return StoredHead(arrays={**head_arrays(fitted.head), **eye.arrays}, about=about)


def _named(reason: str, base: Base) -> str:
    """Personalisation speaks of the universal head; a device without one has the backbone's."""
    if base.head is not None:
        return reason
    return reason.replace("universal head", "backbone's own labels")


def _read_again(
    vault: Vault, taken: Taken, sight: Sight, fitted: Fitted, base: Base, stored: StoredHead
) -> int:
    """Give clips that wait for the user's word the new head's answer; count the changed ones."""
    logits = fitted.head.logits(sight.logits, sight.descriptors)
    kind = PERSONAL if fitted.personal else base.kind
    changed = 0
    for clip, own, scores in zip(taken.clips, taken.own, logits, strict=True):
        now = vault.clip(clip.id)
        if now is None or now.label is not None or (kind == BACKBONE and own is None):
            continue
        answer = _answer(now.answer, scores, kind, str(stored.about["reason"]))
        guessed = EXPRESSIONS.index(answer.expression)
        changed += guessed != now.guessed
        vault.set_answer(clip.id, answer.to_json(), guessed)
    return changed


def _answer(before: Mapping[str, Any], scores: Rows, kind: str, reason: str) -> Answer:
    """An answer with another head's probabilities; moments before the last were the old head's."""
    answer = Answer.from_json(before)
    shares = tuple(float(share) for share in softmax(scores))
    last = tuple(replace(moment, probabilities=shares) for moment in answer.moments[-1:])
    expression = EXPRESSIONS[int(np.argmax(scores))]
    return replace(
        answer, expression=expression, probabilities=shares, head=kind, reason=reason, moments=last
    )
