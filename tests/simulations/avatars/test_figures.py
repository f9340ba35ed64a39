"""Areas, equal error rates and intervals against slow and obvious ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulations.avatars.figures import area, by_person, curve, equal_error, roc

SCORED = st.lists(
    st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=2, max_size=14
)


@settings(max_examples=60, deadline=None)
@given(SCORED)
def test_the_area_counts_pairs_of_a_mismatch_and_a_match(
    rows: list[tuple[int, bool, int]],
) -> None:
    wrong = [(s, w) for s, m, w in rows if m for _ in range(w)]
    right = [(s, w) for s, m, w in rows if not m for _ in range(w)]
    assume(wrong and right)
    wins = [(a > b) + 0.5 * (a == b) for a, _ in wrong for b, _ in right]
    scores, marks, weights = (np.array(column) for column in zip(*rows, strict=True))
    assert area(scores.astype(float), marks, weights.astype(float)) == pytest.approx(np.mean(wins))


def test_the_area_under_the_curve_is_the_area() -> None:
    random = np.random.default_rng(0)
    marks = random.uniform(size=200) < 0.5
    scores = np.round(random.normal(size=200) + marks, 1)
    alarms, found = roc(scores, marks)
    assert np.trapezoid(found, alarms) == pytest.approx(area(scores, marks))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [((0.0, 0.1, 0.9, 1.0), 0.0), ((0.9, 1.0, 0.0, 0.1), 1.0), ((0.0, 0.6, 0.4, 1.0), 0.5)],
)
def test_equal_error_of_four_pairs(scores: tuple[float, ...], expected: float) -> None:
    marks = np.array([False, False, True, True])
    assert equal_error(np.array(scores), marks) == pytest.approx(expected)


def test_a_curve_rises_from_corner_to_corner() -> None:
    marks = np.arange(40) % 2 == 0
    found = curve(np.random.default_rng(1).normal(size=40), marks)["found"]
    assert found == sorted(found)
    assert found[-1] == 1.0


def test_intervals_resample_people() -> None:
    people = np.repeat([1, 2, 3, 4], 25)
    values = np.repeat([0.0, 0.0, 1.0, 1.0], 25)

    def mean(weights: np.ndarray) -> float:
        return float(np.average(values, weights=weights))

    low, high = by_person(mean, people, purpose="test")
    assert (low, high) == (0.0, 1.0)
