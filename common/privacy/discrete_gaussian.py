"""Exact draws from the discrete Gaussian, from the operating system's randomness.

Canonne, Kamath and Steinke, The discrete Gaussian for differential privacy, NeurIPS 2020
(https://arxiv.org/abs/2004.00010), algorithms 1 to 3: a discrete Laplace candidate, accepted with
the right probability. Candidates are drawn many at a time. A probability exp(-x) is compared with
a uniform number of 64 bits in floating point where the two are clearly apart, and otherwise with
192 bits and 80 decimals: what rounding leaves is below 2^-180 per draw.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from math import isqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from common.errors import UsageError

Integers = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]
Bytes = Callable[[int], bytes]
"""So many random bytes; `os.urandom` for everything that is to be private."""

LARGEST_VARIANCE: Final = 2**60
_UNSURE: Final = 2.0**-40
"""Far above any rounding error of exp(-x), far below what would cost time."""
_MORE_BYTES: Final = 16
_DECIMALS: Final = 80


def discrete_gaussian(variance: int, count: int, random: Bytes = os.urandom) -> Integers:
    """(count,) independent whole numbers, each k with probability ~ exp(-k^2 / (2 variance)).

    Args:
        variance: 1 to 2^60; the distribution's own variance is at most this.
        count: 0 or more.
        random: source of bytes. Anything but the operating system's gives no privacy.

    Raises:
        UsageError: the variance is out of range.
    """
    if type(variance) is not int or not 1 <= variance <= LARGEST_VARIANCE:
        raise UsageError(f"noise variance is {variance!r}, expected 1 to 2^60 squared steps")
    scale = isqrt(variance) + 1
    drawn = np.zeros(count, dtype=np.int64)
    missing = np.arange(count)
    while missing.size:
        candidates = _discrete_laplace(scale, missing.size, random)
        accepted = _accept(candidates, scale, variance, random)
        drawn[missing[accepted]] = candidates[accepted]
        missing = missing[~accepted]
    return drawn


def _accept(
    candidates: Integers, scale: int, variance: int, random: Bytes
) -> npt.NDArray[np.bool_]:
    """Algorithm 3: with probability exp(-(|y| - variance / scale)^2 / (2 variance))."""
    sizes = np.abs(candidates)
    exponents = np.square(sizes - variance / scale) / (2 * variance)

    def exact(place: int) -> Fraction:
        above = (int(sizes[place]) * scale - variance) ** 2
        return Fraction(above, 2 * variance * scale * scale)

    return bernoulli_exp(exponents, exact, random)


def _discrete_laplace(scale: int, count: int, random: Bytes) -> Integers:
    """Algorithm 2: whole numbers y with probability ~ exp(-|y| / scale)."""
    drawn = np.zeros(count, dtype=np.int64)
    missing = np.arange(count)
    while missing.size:
        found = _laplace_candidates(scale, missing.size, random)
        negative = _uniform(2, missing.size, random) == 1
        good = (found >= 0) & ~(negative & (found == 0))
        drawn[missing[good]] = np.where(negative, -found, found)[good]
        missing = missing[~good]
    return drawn


def _laplace_candidates(scale: int, count: int, random: Bytes) -> Integers:
    """Geometric sizes of ratio exp(-1 / scale), -1 where a draw is to be repeated."""
    low = _uniform(scale, count, random)
    kept = bernoulli_exp(low / scale, lambda place: Fraction(int(low[place]), scale), random)
    high = np.zeros(count, dtype=np.int64)
    going = np.flatnonzero(kept)
    while going.size:
        on = bernoulli_exp(np.ones(going.size), lambda _: Fraction(1), random)
        going = going[on]
        high[going] += 1
    return np.where(kept, low + scale * high, -1)


def bernoulli_exp(
    exponents: Vector,
    exact: Callable[[int], Fraction],
    random: Bytes = os.urandom,
    *,
    unsure: float = _UNSURE,
) -> npt.NDArray[np.bool_]:
    """Independent yes or no with probabilities exp(-exponent).

    Args:
        exponents: (count,), 0 or more, in floating point.
        exact: the exponent at a place as a fraction; asked where floating point can't decide.
        random: source of bytes.
        unsure: distance below which it can't; a test may set it to 1, so that it never can.
    """
    words = np.frombuffer(random(8 * exponents.size), dtype="<u8")
    distance = words * 2.0**-64 - np.exp(-exponents)
    decided: npt.NDArray[np.bool_] = distance < 0
    for place in np.flatnonzero(np.abs(distance) < unsure):
        decided[place] = _exactly(int(words[place]), exact(int(place)), random)
    return decided


def _exactly(word: int, exponent: Fraction, random: Bytes) -> bool:
    """Whether a uniform number that begins with `word` is below exp(-exponent)."""
    rest = int.from_bytes(random(_MORE_BYTES), "big")
    with localcontext() as context:
        context.prec = _DECIMALS
        uniform = Decimal((word << (8 * _MORE_BYTES)) | rest) / Decimal(2) ** (64 + 8 * _MORE_BYTES)
        power = -Decimal(exponent.numerator) / Decimal(exponent.denominator)
        return uniform < power.exp()


def _uniform(below: int, count: int, random: Bytes) -> Integers:
    """(count,) whole numbers 0 to below - 1, all as likely: words beyond a multiple are redrawn."""
    limit = 2**64 - 2**64 % below
    drawn = np.zeros(count, dtype=np.int64)
    missing = np.arange(count)
    while missing.size:
        words = np.frombuffer(random(8 * missing.size), dtype="<u8")
        good = words <= np.uint64(limit - 1)
        drawn[missing[good]] = (words[good] % np.uint64(below)).astype(np.int64)
        missing = missing[~good]
    return drawn
