"""Bounds on epsilon: against their definitions, on known Gaussians, beside jax-privacy's."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from server.audit.bounds import (
    epsilon_by_one_run,
    epsilon_by_rates,
    held_out,
    one_run_chance,
)
from server.audit.statistics import gaussian_epsilon

DELTA = 1e-5
CASES = [(0.0, 50), (0.5, 200), (1.5, 400), (3.0, 1000), (9.0, 300)]


def scores(mean: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([seed, count])
    return random.normal(mean, size=count), random.normal(size=count)


def test_a_chance_without_delta_is_binomial() -> None:
    chance = one_run_chance(100, 30, 25, np.log(3), 0.0)
    assert chance == pytest.approx(binom.sf(24, 30, 0.75))


def test_delta_makes_right_guesses_likelier() -> None:
    """By the theorem's sum, written out."""
    right, guesses, canaries, fair = 25, 30, 100, 0.75
    exactly = sum(binom.pmf(k, guesses, fair) for k in range(right, guesses + 1))
    steps = [
        sum(binom.pmf(k, guesses, fair) for k in range(right - missing, right)) / missing
        for missing in range(1, right + 1)
    ]
    slow = exactly + 2 * canaries * DELTA * max(steps)
    assert one_run_chance(canaries, guesses, right, np.log(3), DELTA) == pytest.approx(slow)
    assert one_run_chance(canaries, guesses, 0, 0.0, DELTA) == 1


def test_one_run_gives_the_epsilon_at_which_the_guesses_are_as_likely_as_allowed() -> None:
    sent, unsent = scores(3.0, 1000)
    epsilon = epsilon_by_one_run(sent, unsent, 1.5, DELTA)
    right, wrong = int((sent >= 1.5).sum()), int((unsent >= 1.5).sum())
    assert one_run_chance(2000, right + wrong, right, epsilon, DELTA) == pytest.approx(
        0.05, rel=1e-5
    )


@pytest.mark.parametrize("bound", [epsilon_by_rates, epsilon_by_one_run])
def test_nothing_told_apart_is_epsilon_0(bound: Any) -> None:
    same = np.zeros(40)
    assert bound(same, same, 0.0, DELTA) == 0
    assert bound(same, same, 1.0, DELTA) == 0


def test_bounds_of_known_gaussians_hold() -> None:
    """mu 0.5 is epsilon 1.9 at delta 1e-5; a bound with 95 % may not often exceed it."""
    true = gaussian_epsilon(0.5, DELTA)
    found = np.array([held_out(*scores(0.5, 100, seed), DELTA) for seed in range(12)])
    assert (found > true).sum(axis=0).max() <= 2
    assert min(held_out(*scores(9.0, 400), DELTA)) > 3


@pytest.fixture(scope="module")
def auditing() -> Any:
    if importlib.util.find_spec("jax_privacy") is None:
        pytest.skip("jax-privacy is not installed: bounds are not compared with its own")
    return pytest.importorskip("jax_privacy.auditing")


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "count"), CASES)
@pytest.mark.parametrize("delta", [1e-5, 1e-3])
def test_bounds_equal_jax_privacys(auditing: Any, mean: float, count: int, delta: float) -> None:
    sent, unsent = scores(mean, count)
    theirs = auditing.CanaryScoreAuditor(sent, unsent)
    for threshold in (-1.0, mean / 2, mean + 1):
        fixed = auditing.Explicit(threshold)
        by_rates = theirs.epsilon_clopper_pearson(0.05, delta, threshold_strategy=fixed)
        by_one_run = theirs.epsilon_one_run(0.05, delta, threshold_strategy=fixed)
        assert epsilon_by_rates(sent, unsent, threshold, delta) == pytest.approx(by_rates)
        ours = epsilon_by_one_run(sent, unsent, threshold, delta)
        assert ours == pytest.approx(by_one_run, abs=1e-4)
