"""Figures over users: macro recall and cluster-bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from common.randomness import generator

RESAMPLES = 2000
COVERAGE = 0.95


def accuracy(labels: Sequence[int], chosen: Sequence[int]) -> float:
    """Share of clips whose expression was chosen rightly; at least one clip."""
    return float(np.mean(np.asarray(labels) == np.asarray(chosen)))


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean of at least one figure."""
    return float(np.mean(list(values)))


def macro_recall(labels: Sequence[int], chosen: Sequence[int]) -> float:
    """Mean over the expressions that occur of the share rightly chosen (UAR)."""
    true, found = np.asarray(labels), np.asarray(chosen)
    return float(np.mean([(found[true == label] == label).mean() for label in np.unique(true)]))


def calibration_error(right: Sequence[bool], confidence: Sequence[float], *, bins: int) -> float:
    """Expected calibration error, 0..1: `sum_b n_b / n * |accuracy_b - confidence_b|`.

    Guo, Pleiss, Sun and Weinberger, ICML 2017, equation 3, with `bins` of equal width over 0..1.

    Args:
        right: (clips,) whether each choice was right, at least one clip.
        confidence: (clips,) probability of what was chosen, 0..1.
        bins: at least 1.
    """
    hits, sure = np.asarray(right, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=hits - sure, minlength=bins)
    return float(np.abs(gaps).sum() / len(hits))


def interval_by_user(values: npt.ArrayLike, *, seed: int, purpose: str) -> tuple[float, float]:
    """95 % percentile interval of the mean, users resampled with replacement.

    Args:
        values: (users,) one figure per user: clips of one user are not independent.
        seed, purpose: of the resampling.
    """
    figures = np.asarray(values, dtype=np.float64)
    chooser = generator(seed, f"interval {purpose}")
    picks = chooser.integers(len(figures), size=(RESAMPLES, len(figures)))
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(figures[picks].mean(axis=1), [tail, 100 - tail])
    return float(low), float(high)
