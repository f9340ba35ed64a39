"""Same or different expression on real features: the user's clip beside another actor's.

The other actor stands in for an avatar. The user's side is read once by the universal head and once
by the user's personal head; the other side by the universal head, as a stranger's. Nothing is
trained on pairs: a pair's score is how little the two posteriors agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax

from client.personalisation import DEFAULT_METHOD, METHODS
from client.personalisation.interface import Fitting
from common.heads.universal import UniversalHead
from common.randomness import generator
from simulations.experiments.inputs import Input
from simulations.experiments.measure import FIXED, HeadTask, Material, material, outside, views
from simulations.pooled import pooled_head
from simulations.protocols import Split

EACH: Final = 4
"""Pairs of equal and pairs of different expressions that every test clip is in."""
DIGITS: Final = 6
Record = dict[str, Any]
Posteriors = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RealTask:
    """Settings of one measurement: `seed` of every choice, `folds` of users, a `kind` for files."""

    seed: int
    folds: int
    kind: str = "real pairs"


@dataclass(frozen=True, eq=False)
class _User:
    """One user's test clips: expressions, and posteriors (clips, 8) by three readers."""

    name: str
    labels: npt.NDArray[np.int64]
    universal: Posteriors
    personal: Posteriors
    stranger: Posteriors


def measure_real(task: RealTask, source: Input, progress: Callable[[float], None]) -> Record:
    """Scores of pairs of real clips, with the universal and with the personal head.

    Users and their partners are of one fold, whose universal head is trained on all other folds.

    Raises:
        UsageError: the clips don't allow the protocol by take.
    """
    torch.set_num_threads(1)  # sums keep their order
    asked = HeadTask(protocol="by-take", head="logistic", seed=task.seed, user_folds=task.folds)
    ready = material(asked, source)
    found: Record = {"universal": [], "personal": [], "mismatch": [], "users": []}
    for done, federation in enumerate(ready.protocol.held_out, start=1):
        training = outside(ready, federation)
        head = pooled_head(ready.specification, training, l2=FIXED.l2, seed=task.seed)
        splits = [split for split in ready.protocol.splits if split.federation == federation]
        users = [_user(ready, head, split) for split in splits]
        for user in _together(users).values():
            _add_pairs(found, user, [each for each in users if each.name != user.name], task.seed)
        progress(done / len(ready.protocol.held_out))
    return found


def _user(ready: Material, head: UniversalHead, split: Split) -> _User:
    known, asked = views(head, ready.clips, split)
    labels = ready.labels_of(split.adaptation)
    personal = METHODS[DEFAULT_METHOD](known, labels, Fitting(user=split.user))
    return _User(
        split.user,
        ready.labels_of(split.test),
        softmax(asked.universal, axis=1),
        softmax(personal.logits(asked), axis=1),
        softmax(asked.raw, axis=1),
    )


def _together(users: list[_User]) -> Mapping[str, _User]:
    """One entry per user, where a protocol tests somebody twice."""
    found: dict[str, _User] = {}
    for user in users:
        before = found.get(user.name)
        found[user.name] = user if before is None else _joined(before, user)
    return found


def _joined(one: _User, other: _User) -> _User:
    parts = (
        np.concatenate([getattr(one, name), getattr(other, name)])
        for name in ("labels", "universal", "personal", "stranger")
    )
    return _User(one.name, *parts)


def _add_pairs(found: Record, user: _User, others: list[_User], seed: int) -> None:
    """Every test clip of a user with clips of others, as many alike as different."""
    if not others:
        return
    labels = np.concatenate([other.labels for other in others])
    partners = np.concatenate([other.stranger for other in others])
    random = generator(seed, "real pairs", user=user.name)
    for place, label in enumerate(user.labels.tolist()):
        alike, unlike = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
        count = min(EACH, len(alike), len(unlike))
        for candidates, mismatch in ((alike, False), (unlike, True)):
            for other in random.permutation(candidates)[:count].tolist():
                for name in ("universal", "personal"):
                    agreement = float(getattr(user, name)[place] @ partners[other])
                    found[name].append(round(1.0 - agreement, DIGITS))
                found["mismatch"].append(mismatch)
                found["users"].append(user.name)
