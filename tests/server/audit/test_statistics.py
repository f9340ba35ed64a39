"""Intervals and rates against brute force, published numbers and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from server.audit.statistics import (
    area,
    bound_at,
    by_chance,
    ceiling,
    clopper_pearson,
    cluster_bootstrap,
    gaussian_delta,
    gaussian_epsilon,
    mean_interval,
    rank_one,
    rate_at,
)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_clopper_pearson_by_its_definition(hits: int, more: int) -> None:
    trials = hits + more
    low, high = clopper_pearson(hits, trials)
    if hits:
        assert binom.sf(hits - 1, trials, low) == pytest.approx(0.025)
    else:
        assert low == 0
    if more:
        assert binom.cdf(hits, trials, high) == pytest.approx(0.025)
    else:
        assert high == 1


scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30).map(np.array)


@settings(deadline=None)
@given(scores, scores, st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.5, 0.9]))
def test_rates_against_every_threshold(
    members: np.ndarray, negatives: np.ndarray, rate: float
) -> None:
    allowed = [
        int((members > t).sum())
        for t in [*negatives, *members]
        if (negatives > t).sum() <= rate * len(negatives) + 1e-9
    ]
    assert rate_at(members, negatives, rate).hits == max(allowed)
    assert (negatives > bound_at(negatives, rate)).sum() <= rate * len(negatives) + 1e-9


@settings(deadline=None)
@given(scores, scores)
def test_area_against_all_pairs(members: np.ndarray, negatives: np.ndarray) -> None:
    pairs = [(m > n) + 0.5 * (m == n) for m in members for n in negatives]
    assert area(members, negatives) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(("hits", "luck"), [(3, 0.076), (4, 0.016), (5, 0.003)])
def test_luck_of_ranking_24(hits: int, luck: float) -> None:
    """PRIVACY's limits of A5 and A6."""
    assert by_chance(hits, 24, 1 / 24) == pytest.approx(luck, abs=1e-3)


def test_rank_one_counts_no_ties() -> None:
    assert rank_one(np.eye(3)) == 3
    assert rank_one(np.ones((3, 3))) == 0
    assert rank_one(np.array([[0.0, 1], [0, 1]])) == 1


@pytest.mark.parametrize(
    ("z", "epsilon"), [(16.68, 1), (8.92, 2), (4.84, 4), (2.68, 8), (1.54, 16), (1.0, 28.4)]
)
def test_epsilon_of_twenty_rounds(z: float, epsilon: float) -> None:
    assert gaussian_epsilon(math.sqrt(20) / z, 1e-5) == pytest.approx(epsilon, rel=0.01)


@settings(deadline=None)
@given(st.floats(0.05, 20), st.floats(1e-9, 0.01))
def test_epsilon_inverts_delta(mu: float, delta: float) -> None:
    epsilon = gaussian_epsilon(mu, delta)
    if epsilon > 0:
        assert gaussian_delta(epsilon, mu) == pytest.approx(delta, rel=1e-4)
    else:
        assert gaussian_delta(0.0, mu) <= delta


def test_no_difference_is_epsilon_0() -> None:
    assert gaussian_epsilon(0.0, 1e-5) == gaussian_epsilon(-3.0, 1e-5) == 0


@pytest.mark.parametrize(
    ("z", "one", "tenth"), [(16.68, 0.020, 0.0024), (4.84, 0.081, 0.015), (2.68, 0.255, 0.077)]
)
def test_ceilings_of_twenty_rounds(z: float, one: float, tenth: float) -> None:
    mu = math.sqrt(20) / z
    assert ceiling(0.01, mu) == pytest.approx(one, abs=1e-3)
    assert ceiling(0.001, mu) == pytest.approx(tenth, abs=1e-3)


def test_the_bootstrap_takes_whole_clusters() -> None:
    seen: list[int] = []

    def figure(pick: np.ndarray) -> float:
        seen.append(len(pick))
        return float(len(set(pick.tolist())))

    low, high = cluster_bootstrap(figure, 4, seed=0, purpose="test")
    assert set(seen) == {4}
    assert 1 <= low < high <= 4


def test_the_bootstrap_covers_a_mean() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        low, high = mean_interval(random.normal(size=40).tolist(), seed=trial, purpose="test")
        covered += low <= 0 <= high
    assert covered >= 50
