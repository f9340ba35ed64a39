"""The sampler against the distribution itself, with its exact part alone, and its byte source."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import common.privacy.discrete_gaussian as sampler
from common.errors import UsageError
from common.privacy.discrete_gaussian import LARGEST_VARIANCE, bernoulli_exp, discrete_gaussian
from common.randomness import generator

LEAST_P = 1e-6


def fixed(seed: int) -> Callable[[int], bytes]:
    """The same bytes every time: tests of a distribution must not fail by chance."""
    return generator(seed, "test bytes").bytes


def slow_chances(variance: int, widest: int) -> dict[int, float]:
    weights = {k: math.exp(-k * k / (2 * variance)) for k in range(-widest, widest + 1)}
    total = sum(weights.values())
    return {k: weight / total for k, weight in weights.items()}


@pytest.mark.parametrize("variance", [1, 2, 5, 16, 90])
def test_frequencies_are_the_distributions(variance: int) -> None:
    drawn = discrete_gaussian(variance, 20_000, fixed(variance))
    chances = slow_chances(variance, 12 * math.isqrt(variance) + 12)
    common = [k for k, chance in chances.items() if chance * len(drawn) >= 8]
    rest = 1 - sum(chances[k] for k in common)
    observed = [int((drawn == k).sum()) for k in common]
    observed.append(len(drawn) - sum(observed))
    expected = [len(drawn) * chances[k] for k in common] + [len(drawn) * rest]
    assert chisquare(observed, expected).pvalue > LEAST_P


@pytest.mark.parametrize("variance", [10**4, 10**9, LARGEST_VARIANCE])
def test_wide_ones_have_the_gaussians_moments(variance: int) -> None:
    scaled = discrete_gaussian(variance, 20_000, fixed(1)) / math.sqrt(variance)
    assert abs(scaled.mean()) < 5 / math.sqrt(len(scaled))
    assert abs(np.square(scaled).mean() - 1) < 5 * math.sqrt(2 / len(scaled))
    assert abs((scaled**4).mean() - 3) < 5 * math.sqrt(96 / len(scaled))
    assert abs((scaled > 0).mean() - 0.5) < 5 * 0.5 / math.sqrt(len(scaled))


@pytest.mark.parametrize("exponent", [Fraction(0), Fraction(1, 3), Fraction(1), Fraction(5)])
def test_where_floating_point_never_decides(exponent: Fraction) -> None:
    """All comparisons by decimals: the same answers as by floating point, and the right share."""
    exponents = np.full(1500, float(exponent))
    slow = bernoulli_exp(exponents, lambda _: exponent, fixed(3), unsure=2.0)
    fast = bernoulli_exp(exponents, lambda _: exponent, fixed(3))
    np.testing.assert_array_equal(slow, fast)
    chance = math.exp(-float(exponent))
    assert abs(slow.mean() - chance) <= 5 * math.sqrt(chance * (1 - chance) / len(slow))


def test_a_uniform_number_at_the_edge_is_decided_by_its_further_bits() -> None:
    exponent = Fraction(1, 2)
    edge = int(math.exp(-0.5) * 2**64)
    close = [edge + offset for offset in range(-3000, 3000, 1000)]
    data = b"".join(word.to_bytes(8, "little") for word in close)
    answers = iter([data, *[b"\x80" * 16] * len(close)])
    found = bernoulli_exp(np.full(len(close), 0.5), lambda _: exponent, lambda _: next(answers))
    truth = Fraction("0.60653065971263342360379953499118045344191813548718695568")
    assert found.tolist() == [Fraction(word, 2**64) < truth for word in close]


@given(below=st.integers(1, 2**40), count=st.integers(0, 50))
@settings(max_examples=30)
def test_uniform_numbers_are_in_range(below: int, count: int) -> None:
    drawn = sampler._uniform(below, count, fixed(0))
    assert drawn.shape == (count,)
    assert ((drawn >= 0) & (drawn < below)).all()


def test_uniform_numbers_are_not_folded() -> None:
    """Words beyond the last whole multiple are drawn again, not wrapped around."""
    words = iter([(2**64 - 1).to_bytes(8, "little"), (7).to_bytes(8, "little")])
    assert sampler._uniform(3, 1, lambda _: next(words)).tolist() == [1]


def test_the_default_is_the_operating_systems() -> None:
    np.random.seed(0)
    first = discrete_gaussian(10**12, 50)
    np.random.seed(0)
    assert not np.array_equal(first, discrete_gaussian(10**12, 50))
    assert discrete_gaussian(16, 0).shape == (0,)


@pytest.mark.parametrize("variance", [0, -1, LARGEST_VARIANCE + 1, 2.5, True])
def test_a_variance_out_of_range_is_refused(variance: int) -> None:
    with pytest.raises(UsageError, match="noise variance"):
        discrete_gaussian(variance, 1)
