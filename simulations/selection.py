"""Choosing settings on training users only: regularisation and the personal heads' prior.

For each federation, every other federation's held-out users serve as validation users, with heads
trained on everybody else. Heads are pooled ones (the federation's optimum): the researcher holds
all data in a simulation. Each candidate is scored by mean accuracy on the validation users' own
splits; ties go to the stronger prior. Test users of a federation never enter its choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from client.evaluation import draw_own_clips, view
from client.personal import PersonalSettings, fit_personal
from common.clips import ClipSet
from common.heads.specification import HeadSpecification
from common.heads.universal import UniversalHead, statistics_of
from simulations.pooled import pooled_head
from simulations.protocols import Protocol, Split
from simulations.statistics import mean

L2_CANDIDATES = (0.03, 0.01, 0.003)
PERSONAL_CANDIDATES = tuple(
    PersonalSettings(strength=strength, scale=scale)
    for strength in (2.0, 1.0, 0.5)
    for scale in (1.0, 0.75)
)
OWN_CLIPS = (1, 2, 4)
FEWEST_FOLDS = 3

Scores = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Choice:
    """Settings chosen for one federation, on its training users."""

    l2: float
    strength: float
    scale: float


@dataclass(frozen=True)
class _Validation:
    """Accuracies of candidates on one split: universal ones per l2, personal ones per prior."""

    universal: dict[float, float]
    personal: dict[tuple[float, float], float]


def choose(
    specification: HeadSpecification,
    clips: ClipSet,
    protocol: Protocol,
    *,
    l2: float,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Choice]:
    """One choice per federation of the protocol.

    Args:
        specification: of the head.
        clips: all users' clips.
        protocol: federations, their held-out users, and the splits.
        l2: used as given if above 0, else chosen among `L2_CANDIDATES`.
        seed: of draws and initial heads.
        progress: told (done, total) trainings.
    """
    federations = sorted(protocol.held_out)
    if len(federations) < FEWEST_FOLDS:
        return dict.fromkeys(federations, Choice(l2 or 0.01, 1.0, 1.0))
    candidates = (l2,) if l2 > 0 else L2_CANDIDATES
    pairs = list(combinations(federations, 2))
    found: dict[str, list[_Validation]] = {name: [] for name in federations}
    for done, pair in enumerate(pairs):
        out = {user for name in pair for user in protocol.held_out[name]}
        training = clips.select([i for i, user in enumerate(clips.users) if user not in out])
        heads = _heads(specification, training, candidates, seed)
        for test, validation in (pair, pair[::-1]):
            splits = [split for split in protocol.splits if split.federation == validation]
            found[test] += [_validate(heads, clips, split, seed) for split in splits]
        if progress:
            progress(done + 1, len(pairs))
    return {name: _best(results) for name, results in found.items()}


def _heads(
    specification: HeadSpecification, training: ClipSet, candidates: Sequence[float], seed: int
) -> dict[float, UniversalHead]:
    """One pooled head per candidate, each started from the one before."""
    heads: dict[float, UniversalHead] = {}
    warm = None
    for l2 in candidates:
        warm = heads[l2] = pooled_head(specification, training, l2=l2, seed=seed, warm=warm)
    return heads


def _validate(
    heads: dict[float, UniversalHead], clips: ClipSet, split: Split, seed: int
) -> _Validation:
    place = {name: index for index, name in enumerate(clips.names)}
    adaptation = clips.select([place[name] for name in split.adaptation])
    test = clips.select([place[name] for name in split.test])
    universal: dict[float, float] = {}
    for l2, head in heads.items():
        asked = view(head, test, statistics_of(head, adaptation))
        universal[l2] = float((asked.universal.argmax(1) == test.labels).mean())
    middle = sorted(heads)[len(heads) // 2]
    personal = _validate_personal(heads[middle], adaptation, test, split.user, seed)
    return _Validation(universal, personal)


def _validate_personal(
    head: UniversalHead, adaptation: ClipSet, test: ClipSet, user: str, seed: int
) -> dict[tuple[float, float], float]:
    statistics = statistics_of(head, adaptation)
    known, asked = view(head, adaptation, statistics), view(head, test, statistics)
    scores: dict[tuple[float, float], list[float]] = {}
    for count in OWN_CLIPS:
        rows = list(
            draw_own_clips(adaptation.labels, count, seed=seed, draw=0, user=f"validation {user}")
        )
        for prior in PERSONAL_CANDIDATES:
            mine = fit_personal(
                known.universal[rows], known.descriptors[rows], adaptation.labels[rows], prior
            )
            chosen = mine.logits(asked.universal, asked.descriptors).argmax(1)
            key = prior.strength, prior.scale
            scores.setdefault(key, []).append(float((chosen == test.labels).mean()))
    return {key: float(np.mean(values)) for key, values in scores.items()}


def _best(results: Sequence[_Validation]) -> Choice:
    """Candidates stand strongest first, so that `max` gives ties to the stronger one."""
    l2 = max(results[0].universal, key=lambda c: round(mean(r.universal[c] for r in results), 9))
    strength, scale = max(
        results[0].personal, key=lambda c: round(mean(r.personal[c] for r in results), 9)
    )
    return Choice(l2, strength, scale)
