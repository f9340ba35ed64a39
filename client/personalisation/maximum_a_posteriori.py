"""`map`: the universal head's opinion, corrected from the user's own labelled clips.

Maximum a posteriori: with the universal head's logits `u_i` scaled by `scale`, descriptors `z_i`
whitened by `whitener`, and a Gaussian prior of precision `strength` on the correction `(W, b)`,

    minimise  sum_i cross_entropy(scale * u_i + W z_i + b, y_i)
              + strength / 2 * (|W|^2 + |b|^2 / BIAS_VARIANCE).

Convex, so it is solved, not stepped. The minimiser's rows lie in the span of the z_i (representer
theorem), so the unknowns are `clips x classes` numbers however wide the features are.

Strength and scale are chosen for each user by evidence: the log-likelihood that each own clip has
by the head of all other clips (leave one take out), plus what the fleet knew before, counted as
`Prior.weight` clips. Strength infinite, which is the universal head, stands among the candidates.
The universal head also stays in use where the own clips are too few or contradict each other: where
no candidate, of heads that have not seen a clip, finds them all together `ENOUGH` times as likely
as guessing does, and each on average by `SHARE` of what there is to know (log of the classes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from client.personalisation.heads import PersonalHead, PersonalSettings, no_correction
from client.personalisation.solver import (
    Coordinates,
    Labels,
    Problem,
    Rows,
    coordinates,
    leave_one_out,
    solve,
)
from common.errors import UsageError

BIAS_VARIANCE = 0.1
"""Small: how often an expression was corrected does not say how often it occurs."""
ENOUGH = 20.0
"""Strong evidence (Kass and Raftery, J. Am. Stat. Assoc. 90(430), 1995)."""
SHARE = 0.3
"""Right labels give 0.4 to 0.9, half of them random 0.1 (RAVDESS's action units)."""
MOST_JUDGED = 96
"""Candidates are compared on at most so many own clips, of all expressions alike."""
CANDIDATES = tuple(
    PersonalSettings(strength=strength, scale=scale)
    for strength in (math.inf, 4.0, 1.0, 0.25)
    for scale in (1.0, 0.75, 0.5)
)
"""Strongest first: a tie goes to the head that is nearer to the universal one."""
PRIOR_WEIGHT = 100.0
"""Chosen on RAVDESS's training actors; 30 and 300 do nearly as well."""
FLAT_PRIOR = (0.05, 0.01, 0.04)
"""Evidence lost without a correction, per squared step of strength (fourfold) and of scale (half)
from 1: what is believed of the candidates where nothing is known of other users."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is known of the candidates before a user's own clips.

    Attributes:
        candidates: settings to choose among, at least one.
        evidence: mean log-likelihood per unseen clip that each candidate reached on other users;
            empty where nothing is known.
        weight: number of own clips that the evidence counts as.

    Raises:
        UsageError: no candidate, or not one evidence for each.
    """

    candidates: tuple[PersonalSettings, ...] = CANDIDATES
    evidence: tuple[float, ...] = ()
    weight: float = PRIOR_WEIGHT

    def __post_init__(self) -> None:
        if not self.candidates or len(self.evidence) not in (0, len(self.candidates)):
            raise UsageError(
                f"a prior has {len(self.candidates)} candidates and {len(self.evidence)} figures "
                "of evidence; expected at least one candidate, and one figure each or none"
            )

    @property
    def scores(self) -> Rows:
        """(candidates,) log-likelihoods to start from."""
        known = self.evidence or tuple(_flat_evidence(each) for each in self.candidates)
        return self.weight * np.array(known)


def _flat_evidence(settings: PersonalSettings) -> float:
    none, step, half = FLAT_PRIOR
    scale = half * ((1 - settings.scale) / 0.5) ** 2
    if math.isinf(settings.strength):
        return -none - scale
    return -step * math.log(settings.strength, 4) ** 2 - scale


@dataclass(frozen=True)
class Chosen:
    """A personal head and why it is, or is not, in use.

    Attributes:
        head: what answers: the corrected head, or the universal one.
        settings: the candidate that has most evidence.
        personal: whether the correction is in use.
        reason: one sentence for the user.
    """

    head: PersonalHead
    settings: PersonalSettings
    personal: bool
    reason: str


def fit_personal(
    universal: Rows,
    descriptors: Rows,
    labels: Labels,
    settings: PersonalSettings,
    *,
    whitener: Rows | None = None,
) -> PersonalHead:
    """Solve for a user's correction under given settings.

    Args:
        universal: (clips, classes) logits of the universal head, at least one clip.
        descriptors: (clips, dimension).
        labels: (clips,) in 0..classes-1.
        settings: the prior.
        whitener: (dimension, dimension) from `metric.whitener`; None is the identity.
    """
    return fit_personals(universal, descriptors, labels, [settings], whitener=whitener)[0]


def fit_personals(
    universal: Rows,
    descriptors: Rows,
    labels: Labels,
    candidates: Sequence[PersonalSettings],
    *,
    whitener: Rows | None = None,
) -> tuple[PersonalHead, ...]:
    """Solve for a user's correction under each of several settings (at least one)."""
    clips = _coordinates(descriptors, whitener)
    finite = [each for each in candidates if math.isfinite(each.strength)]
    solved = iter(solve(_problem(clips, universal, labels, finite)) if finite else ())
    nothing = np.zeros((clips.basis.shape[1], universal.shape[1]))
    return tuple(
        _head(
            clips,
            next(solved) if math.isfinite(each.strength) else nothing,
            each.scale,
            whitener,
        )
        for each in candidates
    )


def choose_personal(
    universal: Rows,
    descriptors: Rows,
    labels: Labels,
    prior: Prior,
    *,
    whitener: Rows | None = None,
) -> Chosen:
    """Solve for a user's correction under the candidate that has most evidence.

    Args:
        universal, descriptors, labels, whitener: as of `fit_personal`; each clip is a take.
        prior: the candidates and what is known of them.
    """
    rows = judged(labels)
    seen = evidence(universal[rows], descriptors[rows], labels[rows], prior, whitener=whitener)
    best = int((seen + prior.scores).argmax())
    settings = prior.candidates[best]
    ceiling = len(rows) * math.log(universal.shape[1])
    personal, reason = _verdict(settings, float(seen.max()) + ceiling, ceiling, len(labels))
    if not personal:
        head = no_correction(universal.shape[1], descriptors.shape[1])
        return Chosen(head, settings, False, reason)
    head = fit_personal(universal, descriptors, labels, settings, whitener=whitener)
    return Chosen(head, settings, True, reason)


def _verdict(
    settings: PersonalSettings, gained: float, ceiling: float, clips: int
) -> tuple[bool, str]:
    needed = max(math.log(ENOUGH), SHARE * ceiling)
    against = f"log-evidence over guessing {gained:.1f}, needed {needed:.1f}"
    if gained < needed:
        few = f"{clips} own clip(s) are too few or contradict each other"
        return False, f"universal head: {few} ({against})"
    if math.isinf(settings.strength):
        return False, f"universal head: no correction predicts the {clips} own clip(s) better"
    prior = f"strength {settings.strength:g}, scale {settings.scale:g}"
    return True, f"personal head: {clips} own clip(s) bear it out ({against}; {prior})"


def judged(labels: Labels) -> list[int]:
    """Indices of the clips that candidates are compared on: all, or evenly spaced of each label."""
    if len(labels) <= MOST_JUDGED:
        return list(range(len(labels)))
    order = np.argsort(labels, kind="stable")
    places = np.linspace(0, len(order) - 1, MOST_JUDGED).round().astype(int)
    return sorted(int(order[place]) for place in places)


def evidence(
    universal: Rows,
    descriptors: Rows,
    labels: Labels,
    prior: Prior,
    *,
    whitener: Rows | None = None,
) -> Rows:
    """(candidates,) log-likelihood of the labels, each clip by the head of all other clips."""
    clips = _coordinates(descriptors, whitener)
    found = np.empty(len(prior.candidates))
    solved = [i for i, c in enumerate(prior.candidates) if math.isfinite(c.strength)]
    for index, candidate in enumerate(prior.candidates):
        found[index] = _likelihood(candidate.scale * universal, labels)
    if solved:
        problem = _problem(clips, universal, labels, [prior.candidates[i] for i in solved])
        unseen = leave_one_out(problem, solve(problem))
        found[solved] = [_likelihood(scores, labels) for scores in unseen]
    return found


def _likelihood(scores: Rows, labels: Labels) -> float:
    return float(log_softmax(scores, axis=1)[np.arange(len(labels)), labels].sum())


def _coordinates(descriptors: Rows, whitener: Rows | None) -> Coordinates:
    white = descriptors if whitener is None else descriptors @ whitener
    bias = np.full((len(white), 1), math.sqrt(BIAS_VARIANCE))
    return coordinates(np.hstack([white, bias]))


def _problem(
    clips: Coordinates, universal: Rows, labels: Labels, settings: Sequence[PersonalSettings]
) -> Problem:
    scales = np.array([each.scale for each in settings])
    strengths = np.array([each.strength for each in settings])
    return Problem(clips, labels, scales[:, None, None] * universal, strengths)


def _head(clips: Coordinates, weights: Rows, scale: float, whitener: Rows | None) -> PersonalHead:
    whole = (clips.basis @ weights).T
    weight = whole[:, :-1] if whitener is None else whole[:, :-1] @ whitener
    return PersonalHead(weight, math.sqrt(BIAS_VARIANCE) * whole[:, -1], scale)
