"""The contrastive loss, thresholds and refusals, against slow and obvious ways."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client.avatar.detectors.interface import MadeFor
from client.avatar.detectors.training import (
    Labelled,
    best_threshold,
    contrastive_loss,
    even_odds,
    scores_of,
    train,
)
from common.errors import UsageError
from tests.client.avatar.detectors.made_up import labelled


def slow_loss(distances: list[float], marks: list[bool], margin: float) -> float:
    total = 0.0
    for distance, differs in zip(distances, marks, strict=True):
        if differs:
            total += max(0.0, margin - distance) ** 2 / 2
        else:
            total += distance**2 / 2
    return total / len(distances)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 9), st.booleans()), min_size=1, max_size=9),
    st.floats(0.1, 5),
)
def test_contrastive_loss_equals_the_formula(
    pairs: list[tuple[float, bool]], margin: float
) -> None:
    distances, marks = [p[0] for p in pairs], [p[1] for p in pairs]
    found = contrastive_loss(
        torch.tensor(distances, dtype=torch.float64),
        torch.tensor(marks, dtype=torch.float64),
        margin,
    )
    assert float(found) == pytest.approx(slow_loss(distances, marks, margin))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=12))
def test_no_threshold_is_better_than_the_best(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([p[0] for p in pairs], dtype=float)
    marks = np.array([p[1] for p in pairs])

    def right(threshold: float) -> int:
        return int(((scores >= threshold) == marks).sum())

    most = max(right(threshold) for threshold in np.arange(-5.5, 6.0, 0.5))
    assert right(best_threshold(scores, marks)) == most


def test_a_threshold_lies_in_the_middle_of_the_gap() -> None:
    assert best_threshold(np.array([0.0, 1.0, 5.0, 6.0]), np.array([0, 0, 1, 1], bool)) == 3.0


def test_odds_are_even_in_the_middle_of_two_alike_bells() -> None:
    random = np.random.default_rng(0)
    right = random.normal(3.0, 1.0, 2000)
    scores, marks = np.r_[right, 8.0 - right], np.arange(4000) >= 2000
    assert even_odds(scores, marks) == pytest.approx(4.0, abs=0.01)


def test_one_pair_in_the_middle_hardly_moves_where_odds_are_even() -> None:
    random = np.random.default_rng(1)
    marks = np.arange(400) % 2 == 1
    scores = random.normal(0.0, 1.0, 400) + 2 * marks
    without = even_odds(scores, marks)
    for mark in (False, True):
        moved = even_odds(np.append(scores, 1.0), np.append(marks, mark))
        assert moved == pytest.approx(without, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=12), st.integers(1, 11))
def test_even_odds_lie_among_the_scores(values: list[float], cut: int) -> None:
    scores = np.array(values)
    marks = np.arange(len(values)) >= min(cut, len(values) - 1)
    found = even_odds(scores, marks)
    assert scores.min() - 1 <= found <= scores.max() + 1


def test_scores_that_fall_with_mismatch_get_the_best_threshold() -> None:
    scores, marks = np.array([0.0, 1.0, 5.0, 6.0]), np.array([1, 1, 0, 0], bool)
    assert even_odds(scores, marks) == best_threshold(scores, marks)


def test_concat_learns_from_marks_of_mismatch_alone() -> None:
    parts = [labelled(count, seed, told=False) for seed, count in enumerate((400, 100, 200))]
    made = train("concat", parts[0], parts[1], MadeFor("faces/1", "avatars/1"))
    told = scores_of(made, parts[2].pairs) >= made.threshold
    assert (told == parts[2].mismatch).mean() > 0.85


def test_what_concat_names_while_it_is_trained_is_not_kept() -> None:
    parts = [labelled(60), labelled(40, 1)]
    arrays = train("concat", parts[0], parts[1], MadeFor("faces/1", "avatars/1")).arrays()
    assert len(arrays["2.bias"]) == 1
    assert "3.bias" not in arrays


@pytest.mark.parametrize(
    "shown",
    [
        np.zeros((4, 2), np.int64),
        np.array([[0, 0], [1, 2], [3, 3], [8, 4]]),
        np.array([[0, 0], [1, 2], [3, 3]]),
    ],
    ids=["all alike", "no expression", "three"],
)
def test_expressions_that_do_not_fit_the_marks_are_refused(shown: np.ndarray) -> None:
    made = labelled(4)
    with pytest.raises(UsageError, match="doesn't fit their marks of mismatch"):
        Labelled(made.pairs, made.mismatch, shown)


def test_pairs_of_one_kind_train_nothing() -> None:
    pairs = labelled(4).pairs
    with pytest.raises(UsageError, match="all 4 pairs are of one kind"):
        Labelled(pairs, np.ones(4, bool))
