"""A1: how many clips of each expression does a device have?

The bias moves by the sum of errors, one per expression, so that it tells the counts (Wainakh et
al., LLG, PoPETs 2022; Ma et al., iLRG, ICML 2023). The decoder is a ridge regression, fitted on
devices that the attacker plays with clips of people who took no part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.randomness import generator
from server.audit.finding import INDIVIDUAL, SUM, Attack, Outcome, Verdict, judged, not_measurable
from server.audit.shadow import skewed_choice
from server.audit.statistics import mean_interval
from server.audit.subject import Step, Subject
from server.audit.transcript import Vector

MEASURE = "agreement of guessed and true counts of expressions, 1 is all right"
PASS_GAIN, FAIL_GAIN = 0.05, 0.15
NOTHING_TO_LEARN = 0.95
SHADOWS, FEWEST_PUBLIC = 120, 50
PENALTIES = (1e-4, 1e-2, 1.0, 100.0)


def agreement(guess: Vector, truth: Vector) -> float:
    """1 - half of the summed differences of two lists of shares, 0..1.

    >>> agreement(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    0.5
    """
    return float(1 - 0.5 * np.abs(guess - truth).sum())


def sign_rule(bias: Vector) -> npt.NDArray[np.int64]:
    """Expressions that one clip, or a few, must have: those whose bias rose.

    With the classifier at 0, an expression's bias rises with its share above chance; for one clip
    it is the only one that rises (Zhao, Mopuri and Bilen, iDLG, arXiv 2001.02610, 2020).
    """
    return np.flatnonzero(bias > 0)


def shares(labels: npt.NDArray[np.int64], classes: int) -> Vector:
    """(classes,) share of each expression."""
    return np.bincount(labels, minlength=classes) / max(len(labels), 1)


def run(subject: Subject, view: str) -> Outcome:
    """Counts from the first, the middle or the last round: the one that shadows tell most by."""
    if subject.candidates is None or len(subject.public) < FEWEST_PUBLIC:
        return not_measurable(
            MEASURE, f"it needs {FEWEST_PUBLIC} clips of people who took no part to learn from"
        )
    truth = {
        n: shares(subject.labels[own], subject.classes)
        for n in subject.members
        if len(own := subject.own(n))
    }
    if not truth:
        return not_measurable(MEASURE, "no clip of a device that took part is known")
    prior = shares(subject.labels[subject.public], subject.classes)
    base = float(np.mean([agreement(prior, each) for each in truth.values()]))
    if base > NOTHING_TO_LEARN:
        return not_measurable(
            MEASURE,
            "all devices have the same counts, so that there is nothing to learn",
            baseline=base,
        )
    size = int(np.median([len(subject.own(name)) for name in truth]))
    rounds = sorted(subject.sent)
    decoders = [
        _Decoder(subject, r, size) for r in {rounds[0], rounds[len(rounds) // 2], rounds[-1]}
    ]
    best = min(decoders, key=lambda decoder: decoder.error)
    guesses = _guesses(subject, view, best, list(truth))
    gains = {name: agreement(guesses[name], truth[name]) for name in guesses}
    if not gains:
        return not_measurable(
            MEASURE, f"no device that is known sent anything in round {best.round}"
        )
    return _outcome(subject, gains, base, best.round)


def _outcome(subject: Subject, found: dict[str, float], base: float, round_: int) -> Outcome:
    figure = float(np.mean(list(found.values())))
    interval = mean_interval(list(found.values()), seed=subject.seed, purpose="labels")
    verdict = judged(passes=figure - base <= PASS_GAIN, fails=figure - base > FAIL_GAIN)
    return Outcome(
        measure=MEASURE,
        figure=figure,
        chance=base,
        interval=interval,
        threshold=base + FAIL_GAIN,
        verdict=verdict,
        meaning=f"How often a person shows each expression can be read off what was sent: "
        f"{figure:.0%} agrees with the truth; guessing from public people gives {base:.0%}.",
        change=""
        if verdict is Verdict.PASS
        else "Turn on secure aggregation, or add differential privacy.",
        details={"baseline": base, "gain": figure - base, "round": round_, "clients": found},
    )


def _guesses(
    subject: Subject, view: str, decoder: _Decoder, names: Sequence[str]
) -> dict[str, Vector]:
    if view == SUM:
        members = {r.number: len(r.members) for r in subject.transcript.head_rounds}
        steps = [step for step in subject.sums if step.round == decoder.round]
        one = [Step(s.round, s.weight / members[s.round], s.bias / members[s.round]) for s in steps]
        return {name: decoder.guess(step) for step in one for name in names}
    return {
        name: decoder.guess(step)
        for name in names
        for step in subject.steps.get(name, [])
        if step.round == decoder.round
    }


class _Decoder:
    """Ridge regression from what a device sends in one round to its shares of expressions."""

    def __init__(self, subject: Subject, round_: int, size: int) -> None:
        self.round = round_
        self._means = class_means(subject)
        shadows, wanted = _played(subject, round_, size)
        features = np.stack([self._features(step) for step in shadows])
        self._centre, self._scale = features.mean(axis=0), features.std(axis=0) + 1e-12
        self._middle = wanted.mean(axis=0)
        self._weights, self.error = ridge(
            (features - self._centre) / self._scale, wanted - self._middle
        )

    def _features(self, step: Step) -> Vector:
        contrast = step.weight @ self._means.T
        return np.concatenate([step.bias, contrast.ravel()])

    def guess(self, step: Step) -> Vector:
        """(classes,) shares, not negative, with sum 1."""
        scaled = (self._features(step) - self._centre) / self._scale
        raw = np.clip(scaled @ self._weights + self._middle, 0, None)
        return np.asarray(raw / max(raw.sum(), 1e-12))


def class_means(subject: Subject) -> Vector:
    """(classes, dimension) mean input of each expression over people who took no part."""
    inputs, labels = subject.inputs[subject.public], subject.labels[subject.public]
    overall = inputs.mean(axis=0)
    return np.stack(
        [
            inputs[labels == c].mean(axis=0) if (labels == c).any() else overall
            for c in range(subject.classes)
        ]
    )


def ridge(features: Vector, wanted: Vector) -> tuple[Vector, float]:
    """Weights by the penalty of least leave-one-out error, and that error.

    Args:
        features: (cases, features), centred.
        wanted: (cases, outputs), centred.
    """
    u, sizes, vt = np.linalg.svd(features, full_matrices=False)
    found = []
    for penalty in PENALTIES:
        shrink = sizes**2 / (sizes**2 + penalty * len(features))
        hat = u * shrink
        leverage = np.clip((hat * u).sum(axis=1), 0, 1 - 1e-9)
        missed = (wanted - hat @ (u.T @ wanted)) / (1 - leverage)[:, None]
        weights = vt.T @ ((sizes / (sizes**2 + penalty * len(features)))[:, None] * (u.T @ wanted))
        found.append((float(np.square(missed).mean()), weights))
    error, weights = min(found, key=lambda each: each[0])
    return weights, error


def _played(subject: Subject, round_: int, size: int) -> tuple[list[Step], Vector]:
    sent = subject.sent[round_]
    steps, wanted = [], []
    for number in range(SHADOWS):
        draws = generator(subject.seed, "audit shadow device", round=round_, client=number)
        own = subject.public[skewed_choice(subject.labels[subject.public], size, draws)]
        inputs, labels = subject.inputs[own], subject.labels[own]
        moved = subject.trainer(sent.weight, sent.bias, inputs, labels, draws)
        steps.append(subject.as_sent(Step(round_, *moved), draws))
        wanted.append(shares(labels, subject.classes))
    return steps, np.stack(wanted)


ATTACK = Attack(
    id="A1",
    title="How many clips of each expression are on a device?",
    source="Wainakh et al. (LLG, PoPETs 2022), Ma et al. (iLRG, ICML 2023); ridge decoder",
    views=(INDIVIDUAL, SUM),
    run=run,
)
