"""Figures over users against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score

from simulations.statistics import accuracy, calibration_error, interval_by_user, macro_recall

pairs = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40)


@settings(deadline=None)
@given(pairs)
def test_figures_are_those_of_scikit_learn(found: list[tuple[int, int]]) -> None:
    labels, chosen = [pair[0] for pair in found], [pair[1] for pair in found]
    occurring = np.unique(labels)
    expected = recall_score(labels, chosen, labels=occurring, average="macro", zero_division=0)
    assert macro_recall(labels, chosen) == pytest.approx(expected)
    assert accuracy(labels, chosen) == pytest.approx(accuracy_score(labels, chosen))


def test_figures_are_those_of_scikit_learn_where_every_expression_occurs() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        labels = np.concatenate([np.arange(8), random.integers(8, size=50)])
        chosen = random.integers(8, size=58)
        expected = recall_score(labels, chosen, average="macro")
        assert macro_recall(labels.tolist(), chosen.tolist()) == pytest.approx(expected)


def test_figures_by_hand() -> None:
    labels, chosen = [0, 0, 0, 1], [0, 0, 2, 1]
    assert accuracy(labels, chosen) == 0.75
    assert macro_recall(labels, chosen) == pytest.approx((2 / 3 + 1) / 2)


def test_an_interval_is_a_function_of_seed_and_purpose() -> None:
    values = np.random.default_rng(1).uniform(size=24)
    first = interval_by_user(values, seed=0, purpose="universal")
    interval_by_user(values, seed=5, purpose="other")
    assert interval_by_user(values, seed=0, purpose="universal") == first
    assert interval_by_user(values, seed=1, purpose="universal") != first
    assert interval_by_user(values, seed=0, purpose="pooled") != first


def test_an_interval_lies_around_the_mean_and_within_the_values() -> None:
    values = np.random.default_rng(2).uniform(size=24)
    low, high = interval_by_user(values, seed=0, purpose="test")
    assert values.min() <= low < values.mean() < high <= values.max()
    width = high - low
    normal = 2 * 1.96 * values.std() / np.sqrt(len(values))
    assert width == pytest.approx(normal, rel=0.1)


@given(st.floats(0, 1), st.integers(1, 10))
def test_equal_users_have_no_interval(value: float, users: int) -> None:
    low, high = interval_by_user([value] * users, seed=0, purpose="test")
    assert low == pytest.approx(value)
    assert high == pytest.approx(value)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """95 % nominally; the percentile bootstrap of 24 users has a little less."""
    random = np.random.default_rng(3)
    hits = 0
    for number in range(100):
        low, high = interval_by_user(random.normal(size=24), seed=number, purpose="test")
        hits += low <= 0 <= high
    assert 85 <= hits <= 99


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40))
def test_calibration_error_is_the_written_sum(found: list[tuple[bool, float]]) -> None:
    slow = 0.0
    for number in range(15):
        low, high = number / 15, (number + 1) / 15
        inside = [c for c in found if low * 15 < c[1] * 15 <= high * 15 or (number == 0 == c[1])]
        if inside:
            right = sum(hit for hit, _ in inside) / len(inside)
            sure = sum(share for _, share in inside) / len(inside)
            slow += len(inside) / len(found) * abs(right - sure)
    right_ones, shares = [hit for hit, _ in found], [share for _, share in found]
    assert calibration_error(right_ones, shares, bins=15) == pytest.approx(slow, abs=1e-9)


def test_calibration_error_by_hand() -> None:
    assert calibration_error([True, True], [1.0, 1.0], bins=15) == 0.0
    assert calibration_error([False, False], [1.0, 1.0], bins=15) == 1.0
    assert calibration_error([True, False, True, False], [0.7] * 4, bins=10) == pytest.approx(0.2)
    assert calibration_error([True, False], [0.9, 0.1], bins=15) == pytest.approx(0.1)
