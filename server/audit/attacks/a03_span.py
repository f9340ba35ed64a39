"""A3: does a clip's feature lie in the span of the updates that were sent?

Training a linear classifier adds multiples of the clips' features to its rows, and nothing else, so
that R rounds show min(7 R, n) exact combinations of a device's n clips. A clip that was trained on
leaves no residual outside of their span once there are as many combinations as clips; another clip
does. The same idea for one update of attention layers: Petrov et al. (DAGER, NeurIPS 2024), and
of hidden layers: Dimitrov et al. (SPEAR, NeurIPS 2024).

Weight decay adds multiples of the heads that were sent, which are known: they are projected out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from server.audit.finding import FINAL, INDIVIDUAL, SUM, VIEWS, Attack, Outcome, not_measurable
from server.audit.membership import FEWEST_NEGATIVES, MEASURE, Scored, membership_outcome
from server.audit.statistics import area, rate_at
from server.audit.subject import Step, Subject
from server.audit.transcript import Vector

CUTS = (1e-1, 3e-2, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Candidates for the share of the largest singular value below which a direction is dropped."""
CURVE = (1, 2, 5, 8, 10, 12, 15, 20, 30, 40)
SMALLEST_RESIDUAL = 1e-16


def span_scores(rows: Vector, features: Vector) -> Vector:
    """How exactly features lie in the span of rows: -log10 of the share of their length outside.

    Args:
        rows: (rows, dimension) stacked changes.
        features: (clips, dimension), none of them 0.

    Returns:
        (len(CUTS), clips), each from 0 (orthogonal) to 16 (inside, to rounding).
    """
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    inside = np.cumsum(np.square(directions @ features.T), axis=0)
    length = np.maximum(np.square(features).sum(axis=1), np.finfo(np.float64).tiny)
    scores = np.zeros((len(CUTS), len(features)))
    for place, cut in enumerate(CUTS):
        kept = int((sizes > cut * sizes[0]).sum()) if len(sizes) and sizes[0] > 0 else 0
        if kept:
            outside = np.clip(1 - inside[kept - 1] / length, SMALLEST_RESIDUAL, 1)
            scores[place] = -np.log10(outside)
    return scores


def slow_span_score(rows: Vector, feature: Vector) -> float:
    """The same by least squares, without a cut: an oracle for tests."""
    combination = np.linalg.lstsq(rows.T, feature, rcond=None)[0]
    outside = np.linalg.norm(feature - rows.T @ combination) ** 2 / np.linalg.norm(feature) ** 2
    return float(-np.log10(np.clip(outside, SMALLEST_RESIDUAL, 1)))


@dataclass(frozen=True)
class _Group:
    """Changes to be tested together against members and negatives of one device, or of all."""

    client: str
    steps: Sequence[Step]
    members: Vector
    negatives: Vector


def run(subject: Subject, view: str) -> Outcome:
    """Membership by span after each number of rounds; the figure is after the last."""
    if subject.candidates is None:
        return not_measurable(MEASURE, "no clips with known membership were given")
    groups, tuning = _groups(subject, view)
    if not groups or not any(len(group.members) for group in groups):
        return not_measurable(MEASURE, "no clip of a device that took part is among the candidates")
    rounds = max(len(group.steps) for group in groups)
    measurable = [n for n in _counts(rounds) if n * (subject.classes - 1) < subject.dimension]
    curve = [_point(groups, tuning, count) for count in measurable]
    combinations = rounds * (subject.classes - 1)
    if combinations >= subject.dimension:
        return not_measurable(
            MEASURE,
            f"{rounds} rounds show {combinations} combinations, and features have only "
            f"{subject.dimension} numbers, so that every clip lies in their span",
            rounds=rounds,
            curve=[point.told() for point in curve],
        )
    last = curve[-1]
    negatives = sum(len(group.negatives) for group in groups)
    outcome = membership_outcome(
        subject,
        last.scored,
        view=view,
        negatives=negatives,
        what="lies in the span of what was sent",
        details={
            "curve": [point.told() for point in curve],
            "cut": CUTS[last.cut],
            "rounds": rounds,
            "exposed_combinations": combinations,
            "clips": {group.client: len(group.members) for group in groups},
        },
    )
    return outcome


def _counts(rounds: int) -> list[int]:
    return [count for count in CURVE if count < rounds] + [rounds]


@dataclass(frozen=True)
class _Point:
    """The curve at one number of rounds."""

    rounds: int
    cut: int
    scored: Mapping[str, Scored]

    def told(self) -> dict[str, Any]:
        members, negatives = pooled(self.scored.values())
        return {
            "rounds": self.rounds,
            "tpr_at_0.1_percent": rate_at(members, negatives, 0.001).share,
            "tpr_at_1_percent": rate_at(members, negatives, 0.01).share,
            "auc": area(members, negatives),
        }


def pooled(scored: Any) -> tuple[Vector, Vector]:
    """All clients' scores together: of members, of negatives."""
    each = list(scored)
    return np.concatenate([s.members for s in each]), np.concatenate([s.negatives for s in each])


def _point(groups: Sequence[_Group], tuning: Sequence[_Group], count: int) -> _Point:
    cut = _best_cut([_scores(group, count) for group in tuning or groups])
    scored = {}
    for group in groups:
        members, negatives = _scores(group, count)
        scored[group.client] = Scored(members[cut], negatives[cut])
    return _Point(count, cut, scored)


def _best_cut(scores: Sequence[tuple[Vector, Vector]]) -> int:
    """The cut that tells most members apart among the shadow devices."""
    members = np.concatenate([each[0] for each in scores], axis=1)
    negatives = np.concatenate([each[1] for each in scores], axis=1)
    found = [
        (rate_at(m, n, 0.001).hits + rate_at(m, n, 0.01).hits, area(m, n))
        for m, n in zip(members, negatives, strict=True)
    ]
    return found.index(max(found))


def _scores(group: _Group, count: int) -> tuple[Vector, Vector]:
    rows = np.concatenate([step.weight for step in group.steps[:count]])
    scores = span_scores(rows, np.concatenate([group.members, group.negatives]))
    return scores[:, : len(group.members)], scores[:, len(group.members) :]


def _groups(subject: Subject, view: str) -> tuple[list[_Group], list[_Group]]:
    """What is measured, and what cuts are chosen on."""
    known = _Known(subject)
    if view == INDIVIDUAL:
        of = [_individual(subject, known, names) for names in (subject.targets, subject.shadows)]
        return of[0], of[1]
    steps = subject.sums if view == SUM else [subject.final]
    if view == FINAL:
        known = _Known(subject, decay=False)
    return [_all(subject, known, steps, subject.targets)], [
        _all(subject, known, steps, subject.shadows)
    ] if subject.shadows else []


def _individual(subject: Subject, known: _Known, names: Sequence[str]) -> list[_Group]:
    groups = []
    for name in names:
        if name in subject.steps and len(subject.own(name)):
            steps = [known.without(step) for step in subject.steps[name]]
            features = (subject.own(name), subject.negatives(name))
            members, negatives = (known.cleaned(subject.inputs[chosen]) for chosen in features)
            groups.append(_Group(name, steps, members, negatives))
    return groups


def _all(subject: Subject, known: _Known, steps: Sequence[Step], names: Sequence[str]) -> _Group:
    members = np.concatenate([subject.own(name) for name in names])
    other = subject.negatives if subject.hard else None
    chosen = [other(name) for name in names] if other else [subject.public]
    negatives = np.unique(np.concatenate(chosen))
    return _Group(
        "all devices together",
        [known.without(step) for step in steps],
        known.cleaned(subject.inputs[members]),
        known.cleaned(subject.inputs[negatives]),
    )


class _Known:
    """Takes out the directions that the server sent itself, where devices decay weights."""

    def __init__(self, subject: Subject, *, decay: bool = True) -> None:
        self._basis = np.zeros((0, subject.dimension))
        plan = subject.transcript.plan
        if decay and (plan.l2 > 0 or plan.proximal_mu > 0):
            rows = np.concatenate([step.weight for step in subject.sent.values()])
            _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
            if sizes[0] > 0:
                self._basis = directions[sizes > 1e-6 * sizes[0]]

    def cleaned(self, rows: Vector) -> Vector:
        return rows - (rows @ self._basis.T) @ self._basis if len(self._basis) else rows

    def without(self, step: Step) -> Step:
        return Step(step.round, self.cleaned(step.weight), step.bias)


ATTACK = Attack(
    id="A3",
    title="Was this clip trained on? By the span of what was sent",
    source="own; span checks of Petrov et al. (DAGER, NeurIPS 2024) and Dimitrov et al. (SPEAR, "
    "NeurIPS 2024), here over rounds of a softmax head on frozen features",
    views=VIEWS,
    run=run,
)
__all__ = ["ATTACK", "FEWEST_NEGATIVES", "run", "slow_span_score", "span_scores"]
