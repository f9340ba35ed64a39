"""The closed form: the design's table, integration as a slow oracle, and limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from common.errors import UsageError
from common.privacy.gaussian import (
    delta_of,
    epsilon_of,
    most_area,
    most_true_positives,
    mu_for,
    mu_of,
    multiplier_for,
)

TABLE = [
    # epsilon, multiplier, TPR at 1 %, TPR at 0.1 %, area; T = 20, delta = 1e-5
    (1, 16.68, 0.020, 0.0024, 0.575),
    (2, 8.92, 0.034, 0.0048, 0.639),
    (4, 4.84, 0.081, 0.015, 0.743),
    (8, 2.68, 0.255, 0.077, 0.881),
    (16, 1.54, 0.719, 0.427, 0.980),
    (28.4, 1.0, 0.984, 0.917, 0.999),
]


@pytest.mark.parametrize(("epsilon", "multiplier", "one", "tenth", "area"), TABLE)
def test_the_table(
    epsilon: float, multiplier: float, one: float, tenth: float, area: float
) -> None:
    mu = math.sqrt(20) / multiplier
    assert epsilon_of(1e-5, mu) == pytest.approx(epsilon, rel=0.003)
    assert multiplier_for(epsilon, 1e-5, 20) == pytest.approx(multiplier, rel=0.003)
    assert most_true_positives(0.01, mu) == pytest.approx(one, abs=0.001)
    assert most_true_positives(0.001, mu) == pytest.approx(tenth, abs=0.0015)
    assert most_area(mu) == pytest.approx(area, abs=0.0006)


def slow_delta(epsilon: float, mu: float) -> float:
    """Hockey-stick divergence of N(mu, 1) from N(0, 1), integrated."""
    x, step = np.linspace(-12, 12 + mu, 400_001, retstep=True)
    excess = norm.pdf(x - mu) - math.exp(epsilon) * norm.pdf(x)
    return float(np.maximum(excess, 0).sum() * step)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0, 7.0])
@pytest.mark.parametrize("mu", [0.1, 1.0, 3.0])
def test_delta_is_the_integral(epsilon: float, mu: float) -> None:
    assert delta_of(epsilon, mu) == pytest.approx(slow_delta(epsilon, mu), rel=1e-4, abs=1e-12)


@given(epsilon=st.floats(0.01, 200), delta=st.floats(1e-12, 0.2), rounds=st.integers(1, 1000))
def test_planned_noise_keeps_the_promise_and_hardly_more(
    epsilon: float, delta: float, rounds: int
) -> None:
    mu = math.sqrt(rounds) / multiplier_for(epsilon, delta, rounds)
    assert epsilon_of(delta, mu) <= epsilon * (1 + 1e-6)
    assert delta_of(epsilon, 1.01 * mu) > delta


@given(st.lists(st.floats(0.1, 100), max_size=20))
def test_releases_add_up(multipliers: list[float]) -> None:
    assert mu_of(multipliers) ** 2 == pytest.approx(sum(z**-2 for z in multipliers))


def test_limits() -> None:
    assert epsilon_of(1e-5, 0.0) == 0
    assert epsilon_of(1e-5, math.inf) == math.inf
    assert delta_of(1.0, 0.0) == 0
    assert most_true_positives(0.01, 0.0) == pytest.approx(0.01)
    assert most_area(0.0) == 0.5
    assert delta_of(1000.0, 30.0) < 1
    assert mu_for(1.0, 1e-5) < mu_for(2.0, 1e-5)


@pytest.mark.parametrize("delta", [0, 1, -0.1, float("nan"), None])
def test_a_delta_out_of_range_is_refused(delta: float) -> None:
    with pytest.raises(UsageError, match="delta"):
        epsilon_of(delta, 1.0)


@pytest.mark.parametrize("epsilon", [0, -1, float("nan"), float("inf"), "8"])
def test_an_epsilon_out_of_range_is_refused(epsilon: float) -> None:
    with pytest.raises(UsageError, match="epsilon"):
        mu_for(epsilon, 1e-5)
