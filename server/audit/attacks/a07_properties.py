"""A7: does an update tell something of a person that the task does not need?

Melis et al. (S&P 2019). Here: the sex of RAVDESS's actors (even numbers are women), or another
trait whose truth is known. A linear probe by kernel ridge regression, each device guessed from all
others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from server.audit.finding import INDIVIDUAL, Attack, Outcome, Verdict, judged, not_measurable
from server.audit.statistics import cluster_bootstrap
from server.audit.subject import Subject
from server.audit.transcript import Vector

MEASURE = "balanced accuracy of guessing a trait"
FEWEST_EACH = 5
FAIL_ABOVE = 0.60
PENALTY = 0.1


def left_out_guesses(kernel: Vector, signs: Vector) -> Vector:
    """(devices,) what each device's trait is guessed to be from all others: its sign.

    Args:
        kernel: (devices, devices) likeness.
        signs: (devices,) +1 or -1.
    """
    guesses = np.zeros(len(signs))
    for out in range(len(signs)):
        rest = np.delete(np.arange(len(signs)), out)
        inner = kernel[np.ix_(rest, rest)]
        wanted = signs[rest] - signs[rest].mean()
        ridge = inner + PENALTY * np.trace(inner) / len(rest) * np.eye(len(rest))
        guesses[out] = kernel[out, rest] @ np.linalg.solve(ridge, wanted)
    return guesses


def balanced_accuracy(right: npt.NDArray[np.bool_], group: npt.NDArray[np.bool_]) -> float:
    """Mean of the shares guessed rightly in both groups; of one if the other is empty."""
    shares = [right[side].mean() for side in (group, ~group) if side.any()]
    return float(np.mean(shares))


def run(subject: Subject, view: str) -> Outcome:
    """One trait, known for enough devices on both sides."""
    del view
    traits = subject.candidates.traits if subject.candidates else {}
    names = [name for name in subject.steps if name in traits]
    group = np.array([traits[name] for name in names], dtype=np.bool_)
    if min(int(group.sum()), int((~group).sum())) < FEWEST_EACH:
        return not_measurable(
            MEASURE, f"no trait is known for {FEWEST_EACH} devices on either side"
        )
    rows = np.stack([_mean_update(subject, name) for name in names])
    rows -= rows.mean(axis=0)
    guesses = left_out_guesses(rows @ rows.T, np.where(group, 1.0, -1.0))
    right = (guesses > 0) == group

    def figure(pick: npt.NDArray[np.int64]) -> float:
        return balanced_accuracy(right[pick], group[pick])

    low, high = cluster_bootstrap(figure, len(names), seed=subject.seed, purpose="trait")
    share = balanced_accuracy(right, group)
    verdict = judged(passes=low <= 0.5, fails=low > FAIL_ABOVE)
    trait = subject.candidates.trait if subject.candidates else ""
    return Outcome(
        measure=MEASURE,
        figure=share,
        chance=0.5,
        interval=(low, high),
        threshold=FAIL_ABOVE,
        verdict=verdict,
        meaning=f"Which devices' people have the trait {trait!r} is guessed rightly for "
        f"{share:.0%} of them (chance 50 %) from what they sent, though no one asked for it.",
        change=""
        if verdict is Verdict.PASS
        else "Turn on secure aggregation, or add differential privacy.",
        details={"trait": trait, "devices": len(names)},
    )


def _mean_update(subject: Subject, name: str) -> Vector:
    rows = [step.weight.ravel() for step in subject.steps[name]]
    total = np.sum([row / max(float(np.linalg.norm(row)), 1e-300) for row in rows], axis=0)
    return np.asarray(total / len(rows))


ATTACK = Attack(
    id="A7",
    title="Does it tell a trait that the task does not need?",
    source="Melis et al. (S&P 2019)",
    views=(INDIVIDUAL,),
    run=run,
)
