"""ROC curves, equal error rates, accuracies, and their intervals by person."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from common.randomness import generator
from simulations.statistics import COVERAGE, RESAMPLES

CURVE_POINTS: Final = 101
Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]
Interval = tuple[float, float]


def area(scores: Floats, mismatch: Marks, weights: Floats | None = None) -> float:
    """Area under the ROC curve: how often a mismatch scores above a match, ties counting half.

    By ranks (Mann and Whitney); `weights` count pairs several times or not at all.

    Args:
        scores: (pairs,), of both kinds.
        mismatch: (pairs,).
        weights: (pairs,), 0 or more; None is 1 each.
    """
    every = np.ones(len(scores)) if weights is None else weights
    _, place = np.unique(scores, return_inverse=True)
    wrong = np.bincount(place, weights=every * mismatch)
    right = np.bincount(place, weights=every * ~mismatch)
    below = np.cumsum(right) - right
    return float((wrong * (below + right / 2)).sum() / (wrong.sum() * right.sum()))


def roc(scores: Floats, mismatch: Marks) -> tuple[Floats, Floats]:
    """False alarms and found mismatches, each (thresholds + 1,) from 0 to 1."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.diff(scores[order]) != 0, True)
    found = np.cumsum(mismatch[order])[ends] / mismatch.sum()
    alarms = np.cumsum(~mismatch[order])[ends] / (~mismatch).sum()
    return np.append(0.0, alarms), np.append(0.0, found)


def equal_error(scores: Floats, mismatch: Marks) -> float:
    """The rate at which as many false alarms are raised as mismatches missed, on straight lines
    between the points of the ROC curve."""
    alarms, found = roc(scores, mismatch)
    gap = alarms - (1.0 - found)
    after = int(np.argmax(gap >= 0))
    if after == 0:
        return float(alarms[0])
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(alarms[after - 1] + share * (alarms[after] - alarms[after - 1]))


def curve(scores: Floats, mismatch: Marks) -> dict[str, list[float]]:
    """The ROC curve at `CURVE_POINTS` rates of false alarms, for a picture."""
    alarms, found = roc(scores, mismatch)
    grid = np.linspace(0.0, 1.0, CURVE_POINTS)
    return {"false_alarms": grid.tolist(), "found": np.interp(grid, alarms, found).tolist()}


def by_person(
    figure: Any, people: npt.NDArray[np.int64], *, purpose: str, resamples: int = RESAMPLES
) -> Interval:
    """95 % interval of a figure, people resampled with replacement.

    Args:
        figure: from (pairs,) weights to a number.
        people: (pairs,) whose each pair is.
        purpose: of the resampling.
        resamples: how many.
    """
    random = generator(0, f"avatar interval {purpose}")
    owners, place = np.unique(people, return_inverse=True)
    drawn = []
    for _ in range(resamples):
        counts = np.bincount(random.integers(len(owners), size=len(owners)), minlength=len(owners))
        drawn.append(figure(counts[place].astype(np.float64)))
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)
