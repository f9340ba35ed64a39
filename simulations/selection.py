"""Choosing settings on training users only: regularisation, and what is known of personal heads.

For each federation, every other federation's held-out users serve as validation users, with heads
trained on everybody else. Heads are pooled ones (the federation's optimum): the researcher holds
all data in a simulation. Candidates are scored on the validation users' own splits by the mean
log-likelihood of clips that were not learnt from, which tells finer differences than accuracy. Of
regularisations, the strongest that is within one standard error of the best is taken (Breiman et
al., Classification and Regression Trees, 1984, section 3.4.3): it needs fewest rounds. Test users
of a federation never enter its choice. For personal heads the scores themselves are passed on: each
user's own clips have the last word (`map`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import log_softmax

from client.evaluation import draw_own_clips
from client.personalisation.corrected import head_whitener
from client.personalisation.interface import View, get_acquainted
from client.personalisation.maximum_a_posteriori import CANDIDATES, fit_personals
from client.personalisation.solver import Labels, Rows
from common.clips import ClipSet
from common.heads.specification import HeadSpecification
from common.heads.universal import UniversalHead
from simulations.pooled import pooled_head
from simulations.protocols import Protocol, Split

L2_CANDIDATES = (0.03, 0.01, 0.003)
PERSONAL_CANDIDATES = CANDIDATES
OWN_CLIPS = (1, 2, 4)
FEWEST_FOLDS = 3


@dataclass(frozen=True)
class Choice:
    """Settings chosen for one federation, on its training users.

    Attributes:
        l2: of the universal head.
        strength, scale: the candidate with most evidence, from which a user's own clips may differ.
        evidence: mean log-likelihood per unseen clip of each of `PERSONAL_CANDIDATES`, if known.
    """

    l2: float
    strength: float
    scale: float
    evidence: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Validation:
    """Log-likelihoods of candidates on one split: universal per l2, personal per candidate."""

    universal: dict[float, float]
    personal: tuple[float, ...]


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
        return unchosen(protocol, l2 or 0.01)
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


def unchosen(protocol: Protocol, l2: float) -> dict[str, Choice]:
    """The same for every federation, without a look at anybody's clips.

    Under noise nothing else will do: what is chosen on the users whom the noise is to protect goes
    into every release, and no accountant counts it.
    """
    return dict.fromkeys(sorted(protocol.held_out), Choice(l2, 1.0, 1.0))


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
    universal = {}
    for l2, head in heads.items():
        asked = get_acquainted(head, adaptation).view(test)
        universal[l2] = _likelihood(asked.universal, test.labels)
    middle = get_acquainted(heads[sorted(heads)[len(heads) // 2]], adaptation)
    known, asked = middle.view(adaptation), middle.view(test)
    personal = _validate_personal(known, asked, adaptation.labels, test.labels, split.user, seed)
    return _Validation(universal, personal)


def _validate_personal(
    known: View, asked: View, labels: Labels, answers: Labels, user: str, seed: int
) -> tuple[float, ...]:
    """Of each candidate, the mean over numbers of own clips."""
    found, white = [], head_whitener(known)
    for count in OWN_CLIPS:
        rows = list(draw_own_clips(labels, count, seed=seed, draw=0, user=f"validation {user}"))
        heads = fit_personals(
            known.universal[rows],
            known.descriptors[rows],
            labels[rows],
            PERSONAL_CANDIDATES,
            whitener=white,
        )
        logits = [head.logits(asked.universal, asked.descriptors) for head in heads]
        found.append([_likelihood(each, answers) for each in logits])
    return tuple(np.mean(found, axis=0).tolist())


def _likelihood(logits: Rows, labels: Labels) -> float:
    """Mean log-likelihood of labels."""
    return float(log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def _best(results: Sequence[_Validation]) -> Choice:
    """Candidates stand strongest first, so that the first of equals is the stronger one."""
    l2 = _strongest_near_best([result.universal for result in results])
    evidence = np.mean([result.personal for result in results], axis=0).round(9)
    best = PERSONAL_CANDIDATES[int(evidence.argmax())]
    return Choice(l2, best.strength, best.scale, tuple(evidence.tolist()))


def _strongest_near_best(scores: Sequence[dict[float, float]]) -> float:
    """The first candidate whose paired shortfall from the best is within its standard error.

    Args:
        scores: per validation split, each candidate's score; candidates strongest first.
    """
    candidates = list(scores[0])
    table = np.array([[score[candidate] for candidate in candidates] for score in scores])
    best = int(table.mean(axis=0).round(9).argmax())
    short = table[:, [best]] - table
    errors = short.std(axis=0, ddof=min(1, len(table) - 1)) / np.sqrt(len(table))
    near = short.mean(axis=0) <= errors + 1e-9
    return candidates[int(near.argmax())]
