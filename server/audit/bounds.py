"""What epsilon is at least, by how well canaries that were sent are told from those that were not.

Scores are higher for what looks sent; a canary is said to be sent from `threshold` on. Both bounds
hold with confidence 1 - `significance`, for a threshold that was not chosen on the same scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from server.audit.statistics import clopper_pearson

Scores = npt.NDArray[np.float64]
Bound = Callable[[Scores, Scores, float, float], float]
SIGNIFICANCE: Final = 0.05
HIGHEST: Final = 700.0
"""An epsilon beyond which e^epsilon overflows; no number of canaries gets there."""


def epsilon_by_rates(
    sent: Scores,
    unsent: Scores,
    threshold: float,
    delta: float,
    *,
    significance: float = SIGNIFICANCE,
) -> float:
    """ln((TPR - delta) / FPR) with both at the worse end of their exact intervals, at least 0.

    Jagielski, Ullman and Oprea, NeurIPS 2020.
    """
    coverage = 1 - significance
    hits = clopper_pearson(int((sent >= threshold).sum()), len(sent), coverage=coverage)[0]
    alarms = clopper_pearson(int((unsent >= threshold).sum()), len(unsent), coverage=coverage)[1]
    if hits <= delta:
        return 0.0
    return max(0.0, float(np.log(hits - delta) - np.log(alarms)))


def one_run_chance(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """How likely `right` or more of `guesses` are under (epsilon, delta)-privacy, at most.

    Steinke, Nasr and Jagielski, NeurIPS 2023, theorem for guesses of one kind: each of `canaries`
    was sent or not by a fair coin.
    """
    fair = float(expit(epsilon))
    exactly = float(binom.sf(right - 1, guesses, fair))
    missing = np.arange(1, right + 1)
    steps = (binom.sf(right - missing - 1, guesses, fair) - exactly) / missing
    slack = 2 * canaries * delta * float(steps.max(initial=0.0))
    return min(1.0, exactly + slack)


def epsilon_by_one_run(
    sent: Scores,
    unsent: Scores,
    threshold: float,
    delta: float,
    *,
    significance: float = SIGNIFICANCE,
) -> float:
    """The largest epsilon that as many right guesses rule out, at least 0."""
    right, wrong = int((sent >= threshold).sum()), int((unsent >= threshold).sum())
    canaries = len(sent) + len(unsent)

    def ruled_out(epsilon: float) -> float:
        return significance - one_run_chance(canaries, right + wrong, right, epsilon, delta)

    if ruled_out(0.0) <= 0:
        return 0.0
    high = 1.0
    while ruled_out(high) > 0:
        if high > HIGHEST:
            return high
        high *= 2
    return float(brentq(ruled_out, 0.0, high, xtol=1e-6))


def held_out(sent: Scores, unsent: Scores, delta: float) -> tuple[float, float]:
    """Both bounds, the threshold chosen on every second score and tested on the others.

    For the rates also the mirrored test (who was not sent) counts.

    Args:
        sent, unsent: in no order; one run needs them to be about as many, so that there `unsent` is
            cut to the length of `sent`.
    """
    fair = unsent[: len(sent)]
    return (
        max(
            _tested(epsilon_by_rates, sent, unsent, delta),
            _tested(epsilon_by_rates, -unsent, -sent, delta),
        ),
        _tested(epsilon_by_one_run, sent, fair, delta),
    )


def _tested(bound: Bound, sent: Scores, unsent: Scores, delta: float) -> float:
    tried = np.quantile(np.concatenate([sent[::2], unsent[::2]]), np.linspace(0.02, 0.98, 25))
    best = max(tried, key=lambda threshold: bound(sent[::2], unsent[::2], threshold, delta))
    return float(bound(sent[1::2], unsent[1::2], best, delta))
