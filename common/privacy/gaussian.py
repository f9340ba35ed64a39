"""What Gaussian noise is worth, in closed form.

T rounds with noise of z times the clipping norm, in each of which every device may take part, are
one Gaussian mechanism with mu = sqrt(T) / z (Dong, Roth and Su, Gaussian differential privacy,
JRSS-B 84(1), 2022, https://doi.org/10.1111/rssb.12454). Its exact curve (Balle and Wang, ICML
2018, https://arxiv.org/abs/1805.06530) checks the accountant, plans noise, and is all that a device
needs to keep count for itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from scipy.special import log_ndtr, ndtr, ndtri

from common.errors import UsageError

_HALVINGS = 200


def mu_of(multipliers: Iterable[float]) -> float:
    """`mu` of releases with these noise multipliers together, 0 for none."""
    return math.sqrt(math.fsum(1 / z**2 for z in multipliers))


def delta_of(epsilon: float, mu: float) -> float:
    """The smallest delta for an epsilon: Phi(-e/mu + mu/2) - exp(e) Phi(-e/mu - mu/2)."""
    if mu == 0:
        return 0.0
    first = float(log_ndtr(-epsilon / mu + mu / 2))
    second = epsilon + float(log_ndtr(-epsilon / mu - mu / 2))
    return math.exp(first) * -math.expm1(min(0.0, second - first))


def epsilon_of(delta: float, mu: float) -> float:
    """The smallest epsilon for a delta; infinite for an infinite `mu`.

    Raises:
        UsageError: delta is not between 0 and 1.
    """
    check_delta(delta)
    if math.isinf(mu):
        return math.inf
    if delta_of(0.0, mu) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while delta_of(high, mu) > delta:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(middle, mu) > delta else (low, middle)
    return high


def mu_for(epsilon: float, delta: float) -> float:
    """The largest `mu` that keeps (epsilon, delta).

    Raises:
        UsageError: epsilon is not a finite number above 0, or delta not between 0 and 1.
    """
    check_epsilon(epsilon)
    check_delta(delta)
    low, high = 0.0, 1.0
    while delta_of(epsilon, high) < delta:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if delta_of(epsilon, middle) > delta else (middle, high)
    return low


def multiplier_for(epsilon: float, delta: float, rounds: int) -> float:
    """The smallest noise multiplier z that keeps (epsilon, delta) over `rounds` rounds.

    >>> round(multiplier_for(8, 1e-5, 20), 2)
    2.68
    """
    return math.sqrt(rounds) / mu_for(epsilon, delta)


def most_true_positives(false_positives: float, mu: float) -> float:
    """Ceiling of any attack's true positive rate: Phi(Phi^-1(FPR) + mu)."""
    return float(ndtr(ndtri(false_positives) + mu))


def most_area(mu: float) -> float:
    """Ceiling of any attack's area under the ROC curve: Phi(mu / sqrt(2))."""
    return float(ndtr(mu / math.sqrt(2)))


def check_delta(delta: float) -> None:
    """Refuse a delta out of range.

    Raises:
        UsageError: it is not between 0 and 1.
    """
    if not (isinstance(delta, int | float) and 0 < delta < 1):
        raise UsageError(f"delta is {delta!r}, expected between 0 and 1, far below 1 / devices")


def check_epsilon(epsilon: float) -> None:
    """Refuse an epsilon out of range.

    Raises:
        UsageError: it is not a finite number above 0.
    """
    if not (isinstance(epsilon, int | float) and 0 < epsilon < 1e6):
        raise UsageError(f"epsilon is {epsilon!r}, expected a number above 0")
