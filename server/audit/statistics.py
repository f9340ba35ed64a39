"""Figures of attacks and how sure they are: exact binomial bounds, rates at few false positives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import beta, binom, norm, rankdata

from common.randomness import generator

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
RESAMPLES = 1000


def clopper_pearson(hits: int, trials: int, *, coverage: float = 0.95) -> Interval:
    """Exact two-sided interval of a share (Clopper and Pearson, Biometrika 26, 1934).

    Args:
        hits: 0..`trials`.
        trials: 0 tells nothing, so that the interval is 0..1.

    >>> [round(bound, 3) for bound in clopper_pearson(0, 10)]
    [0.0, 0.308]
    """
    tail = (1 - coverage) / 2
    low = beta.ppf(tail, hits, trials - hits + 1) if hits else 0.0
    high = beta.ppf(1 - tail, hits + 1, trials - hits) if hits < trials else 1.0
    return float(low), float(high)


def cluster_bootstrap(
    figure: Callable[[npt.NDArray[np.int64]], float], clusters: int, *, seed: int, purpose: str
) -> Interval:
    """95 % percentile interval of a figure, clusters (clients) resampled with replacement.

    Args:
        figure: of the chosen clusters' numbers, (clusters,), some of them repeated.
        clusters: at least 1.
    """
    chooser = generator(seed, f"audit interval {purpose}")
    picks = chooser.integers(clusters, size=(RESAMPLES, clusters))
    low, high = np.percentile([figure(pick) for pick in picks], [2.5, 97.5])
    return float(low), float(high)


def mean_interval(values: Sequence[float], *, seed: int, purpose: str) -> Interval:
    """`cluster_bootstrap` of the mean of one figure per client, at least one."""
    figures = np.asarray(values, dtype=np.float64)
    return cluster_bootstrap(
        lambda pick: float(figures[pick].mean()), len(figures), seed=seed, purpose=purpose
    )


def bound_at(negatives: Floats, rate: float) -> float:
    """The lowest threshold above which at most `rate` of the negatives score."""
    allowed = int(np.floor(rate * len(negatives) + 1e-9))
    return float(np.sort(negatives)[len(negatives) - 1 - allowed])


@dataclass(frozen=True)
class Rate:
    """Members told apart at a share of false positives.

    Attributes:
        hits, trials: members above the threshold, of all.
        interval: exact, of the share.
    """

    hits: int
    trials: int

    @property
    def share(self) -> float:
        """0..1."""
        return self.hits / self.trials

    @property
    def interval(self) -> Interval:
        """Clopper-Pearson, 95 %."""
        return clopper_pearson(self.hits, self.trials)


def rate_at(members: Floats, negatives: Floats, rate: float) -> Rate:
    """True positives at `rate` false positives; a tie with the threshold counts as no hit."""
    return Rate(int((members > bound_at(negatives, rate)).sum()), len(members))


def area(members: Floats, negatives: Floats) -> float:
    """Area under the curve: how often a member outscores a negative, ties count half."""
    ranks = rankdata(np.concatenate([members, negatives]))[: len(members)]
    count = len(members)
    return float((ranks.sum() - count * (count + 1) / 2) / (count * len(negatives)))


def by_chance(hits: int, trials: int, chance: float) -> float:
    """How likely as many hits or more would be, if each had only `chance`."""
    return float(binom.sf(hits - 1, trials, chance))


def rank_one(scores: Floats) -> int:
    """Rows of a square matrix whose own column scores highest; ties count as misses."""
    best = scores.max(axis=1, keepdims=True)
    alone = (scores == best).sum(axis=1) == 1
    return int((alone & (np.diag(scores) == best[:, 0])).sum())


def gaussian_delta(epsilon: float, mu: float) -> float:
    """delta(epsilon) of mu-Gaussian differential privacy (Dong, Roth and Su, JRSS-B 2022)."""
    second = np.exp(epsilon + norm.logcdf(-epsilon / mu - mu / 2))
    return float(norm.cdf(-epsilon / mu + mu / 2) - second)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The epsilon of mu-Gaussian differential privacy at `delta`; 0 where mu is not above 0.

    >>> round(gaussian_epsilon(20**0.5 / 2.68, 1e-5), 1)
    8.0
    """
    if mu <= 0 or gaussian_delta(0.0, mu) <= delta:
        return 0.0
    high = mu * mu / 2 + 10 * mu + 10
    return float(brentq(lambda epsilon: gaussian_delta(epsilon, mu) - delta, 0.0, high))


def ceiling(rate: float, mu: float) -> float:
    """The most true positives that a mu-Gaussian private run leaves any attack at `rate`.

    >>> round(ceiling(0.01, 20**0.5 / 4.84), 2)
    0.08
    """
    return float(norm.cdf(norm.ppf(rate) + mu))
