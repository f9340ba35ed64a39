"""A2b: what a person looks like in each expression, beyond what people look like.

A row moves by the difference of the device's clips of that expression from all others. What public
people's class means explain of it is fitted by least squares and taken away; what remains points to
where this person's own class mean lies. Centred cosine with the truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server.audit.attacks.a01_labels import FEWEST_PUBLIC, class_means
from server.audit.finding import INDIVIDUAL, SUM, Attack, Outcome, Verdict, judged, not_measurable
from server.audit.statistics import mean_interval
from server.audit.subject import Step, Subject
from server.audit.transcript import Vector

MEASURE = "centred cosine of decoded and true class means"
PASS_ABOVE, FAIL_ABOVE = 0.10, 0.30
FEWEST_CLIPS = 3
LARGEST_PICTURE = 400


def decode(steps: Sequence[Step], means: Vector) -> Vector:
    """(classes, dimension) directions of a person's own class means, of any length."""
    total = np.sum([step.weight for step in steps], axis=0)
    known = np.concatenate([means, means.mean(axis=0, keepdims=True)])
    fit = np.linalg.lstsq(known.T, total.T, rcond=None)[0]
    return np.asarray(total - (known.T @ fit).T)


def run(subject: Subject, view: str) -> Outcome:
    """Decoded against true class means, and against another device's for comparison."""
    if subject.candidates is None or len(subject.public) < FEWEST_PUBLIC:
        return not_measurable(
            MEASURE, f"it needs {FEWEST_PUBLIC} clips of people who took no part to compare with"
        )
    names = [
        n for n in subject.members if len(subject.own(n)) and (view == SUM or n in subject.steps)
    ]
    if len(names) < 2:
        return not_measurable(MEASURE, "it needs two devices whose clips are known")
    if subject.classes + 1 >= subject.dimension:
        return not_measurable(MEASURE, "features are too short to tell a person from a class mean")
    means = class_means(subject)
    truth = {name: _truth(subject, name, means) for name in names}
    shown = decode(subject.sums, means) if view == SUM else None
    guess = {n: shown if shown is not None else decode(subject.steps[n], means) for n in names}
    own = {n: _cosine(guess[n], truth[n]) for n in names}
    other = [_cosine(guess[n], truth[names[i - 1]]) for i, n in enumerate(names)]
    own = {name: value for name, value in own.items() if np.isfinite(value)}
    if not own:
        return not_measurable(MEASURE, f"no device has {FEWEST_CLIPS} clips of an expression")
    chance = float(np.nanmean(other))
    return _outcome(subject, own, chance, _picture(guess, truth, names[0]))


def _outcome(
    subject: Subject, own: dict[str, float], chance: float, picture: dict[str, list[float]]
) -> Outcome:
    figure = float(np.mean(list(own.values())))
    above = figure - chance
    verdict = judged(passes=above <= PASS_ABOVE, fails=above > FAIL_ABOVE)
    return Outcome(
        measure=MEASURE,
        figure=figure,
        chance=chance,
        interval=mean_interval(list(own.values()), seed=subject.seed, purpose="class means"),
        threshold=chance + FAIL_ABOVE,
        verdict=verdict,
        meaning="How a person's features differ from other people's in each expression can be "
        f"drawn from what was sent, with a likeness of {figure:.2f} (another person's: "
        f"{chance:.2f}; perfect: 1).",
        change=""
        if verdict is Verdict.PASS
        else "Turn on secure aggregation, or add differential privacy.",
        details={"clients": own, "example": picture},
    )


def _truth(subject: Subject, name: str, means: Vector) -> Vector:
    """(classes, dimension) own class means less the public ones; NaN where there are few clips."""
    own = subject.own(name)
    inputs, labels = subject.inputs[own], subject.labels[own]
    return np.stack(
        [
            inputs[labels == c].mean(axis=0) - means[c]
            if (labels == c).sum() >= FEWEST_CLIPS
            else np.full(subject.dimension, np.nan)
            for c in range(subject.classes)
        ]
    )


def _cosine(guess: Vector, truth: Vector) -> float:
    """Mean over the expressions that are there; NaN if none is."""
    there = np.isfinite(truth).all(axis=1)
    if not there.any():
        return float("nan")
    a, b = guess[there], truth[there]
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.maximum(lengths, 1e-300)).mean())


def _picture(
    guess: dict[str, Vector], truth: dict[str, Vector], name: str
) -> dict[str, list[float]]:
    """One expression of one device: true and decoded numbers side by side, each of length 1."""
    there = np.flatnonzero(np.isfinite(truth[name]).all(axis=1))
    if not len(there):
        return {"true": [], "decoded": []}
    pair = [values[name][there[0]] for values in (truth, guess)]
    scaled = [value / max(float(np.linalg.norm(value)), 1e-300) for value in pair]
    true, decoded = ([round(float(v), 5) for v in s[:LARGEST_PICTURE]] for s in scaled)
    return {"true": true, "decoded": decoded}


ATTACK = Attack(
    id="A2b",
    title="Can a person's typical features be drawn?",
    source="own decoder, by least squares on public class means",
    views=(INDIVIDUAL, SUM),
    run=run,
)
