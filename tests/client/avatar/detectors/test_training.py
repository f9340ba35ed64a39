"""The contrastive loss, thresholds and refusals, against slow and obvious ways."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client.avatar.detectors.training import Labelled, best_threshold, contrastive_loss
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


def test_pairs_of_one_kind_train_nothing() -> None:
    pairs = labelled(4).pairs
    with pytest.raises(UsageError, match="all 4 pairs are of one kind"):
        Labelled(pairs, np.ones(4, bool))
