"""Shares with intervals, over all pairs and by expression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from common.expressions import EXPRESSIONS
from common.randomness import generator
from simulations.statistics import COVERAGE, RESAMPLES

FEWEST_PEOPLE: Final = 3
BY_PERSON: Final = "cluster bootstrap over people, 95 %"
BY_PAIR: Final = "Wilson's, 95 %; pairs of one person are not independent"


def share_of(
    kept: npt.NDArray[np.bool_], people: Sequence[str], *, seed: int, purpose: str
) -> dict[str, Any]:
    """A share with its interval.

    Args:
        kept: (n,) at least one.
        people: whose each is; the interval is by person where there are `FEWEST_PEOPLE` of them.
        seed, purpose: of the resampling.
    """
    names = sorted(set(people))
    if len(names) >= FEWEST_PEOPLE:
        low, high = _by_person(kept, people, names, seed=seed, purpose=purpose)
        how = BY_PERSON
    else:
        found = binomtest(int(kept.sum()), len(kept)).proportion_ci(COVERAGE, method="wilson")
        low, high, how = float(found.low), float(found.high), BY_PAIR
    return {
        "count": len(kept),
        "kept": int(kept.sum()),
        "share": round(float(kept.mean()), 4),
        "interval": [round(low, 4), round(high, 4)],
        "interval_is": how,
    }


def _by_person(
    kept: npt.NDArray[np.bool_],
    people: Sequence[str],
    names: Sequence[str],
    *,
    seed: int,
    purpose: str,
) -> tuple[float, float]:
    """Percentiles of the share over people drawn with replacement, each with all their pairs."""
    of = np.asarray(people)
    counts = np.array([int((of == name).sum()) for name in names])
    sums = np.array([int(kept[of == name].sum()) for name in names])
    chooser = generator(seed, f"interval {purpose}")
    picks = chooser.integers(len(names), size=(RESAMPLES, len(names)))
    shares = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(shares, [tail, 100 - tail])
    return float(low), float(high)


def by_expression(
    labels: Sequence[int],
    kept: npt.NDArray[np.bool_],
    people: Sequence[str],
    *,
    seed: int,
    purpose: str,
) -> dict[str, dict[str, Any]]:
    """`share_of` for each expression that occurs, by the face's label."""
    given, owners = np.asarray(labels), np.asarray(people)
    return {
        EXPRESSIONS[label]: share_of(
            kept[given == label],
            [str(each) for each in owners[given == label]],
            seed=seed,
            purpose=f"{purpose} {label}",
        )
        for label in sorted(set(given.tolist()))
    }
