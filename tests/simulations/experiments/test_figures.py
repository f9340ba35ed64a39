"""Figures from predictions, against answers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.experiments.figures import (
    accuracies,
    confusion,
    harmed,
    interval,
    recalls,
    rightness,
    summary,
    twin_figures,
)
from simulations.statistics import accuracy, macro_recall


def record(user: str, labels: list[int], universal: list[int], **more: Any) -> dict[str, Any]:
    return {"user": user, "labels": labels, "universal": universal, **more}


ANN = record(
    "ann",
    [0, 0, 1, 1],
    [0, 1, 1, 1],
    personal=[[[0, 0, 1, 0], [0, 0, 1, 1]]],
    twin=[True, False, True, True],
)
BOB = record("bob", [0, 1], [1, 1], personal=[[[0, 1]]], twin=[False, True])


def test_rightness_is_the_share_of_draws_that_were_right() -> None:
    assert rightness(ANN, "universal").tolist() == [1, 0, 1, 1]
    assert rightness(ANN, "personal", 0).tolist() == [1, 1, 1, 0.5]


def test_accuracy_and_recall_are_by_user_and_seed() -> None:
    runs = [[BOB, ANN], [ANN, BOB]]
    assert accuracies(runs, "universal").tolist() == [[0.75, 0.75], [0.5, 0.5]]
    assert accuracies(runs, "personal", 0).tolist() == [[0.875, 0.875], [1, 1]]
    assert recalls(runs[:1], "universal").tolist() == [[0.75], [0.5]]
    assert harmed(accuracies(runs, "personal", 0), accuracies(runs, "universal")) == 0
    assert harmed(accuracies(runs, "universal"), accuracies(runs, "personal", 0)) == 2


@given(st.integers(0, 1000))
def test_figures_are_means_over_draws(seed: int) -> None:
    """Of two parts of one user, draw by draw."""
    chooser = np.random.default_rng(seed)
    labels = chooser.integers(3, size=(2, 7)).tolist()
    made = chooser.integers(3, size=(2, 4, 7)).tolist()
    records = [record("ann", labels[part], [], personal=[made[part]]) for part in range(2)]
    for mine, theirs in ((accuracies, accuracy), (recalls, macro_recall)):
        draws = [theirs(labels[0] + labels[1], made[0][draw] + made[1][draw]) for draw in range(4)]
        assert mine([records], "personal", 0)[0, 0] == pytest.approx(np.mean(draws))


def test_twins_are_counted_apart() -> None:
    found = twin_figures([[ANN, BOB]], "universal", None, seed=0)
    assert (found["with"]["clips"], found["without"]["clips"]) == (4, 2)
    assert found["with"]["accuracy"] == 1
    assert found["without"]["accuracy"] == 0
    assert (found["without"]["low"], found["without"]["high"]) == (0, 0)
    personal = twin_figures([[ANN, BOB]] * 2, "personal", 0, seed=0)
    assert personal["with"] == {
        **personal["with"],
        "clips": 8,
        "accuracy": pytest.approx(3.5 / 4),
    }
    none = twin_figures([[{**BOB, "twin": [False, False]}]], "universal", None, seed=0)
    assert none["with"] == {"clips": 0, "accuracy": None, "low": None, "high": None}


def test_an_interval_resamples_users_not_clips() -> None:
    spread = np.array([[0.0], [1.0]])
    assert interval(spread, seed=0, purpose="p") == (0, 1)
    assert interval(np.full((3, 2), 0.5), seed=0, purpose="p") == (0.5, 0.5)
    found = summary(np.array([[0.2, 0.4], [0.6, 0.8]]), seed=0, purpose="p")
    assert found["mean"] == pytest.approx(0.5)
    assert found["low"] < found["mean"] < found["high"]
    assert (found["worst"], found["best"]) == (pytest.approx(0.3), pytest.approx(0.7))


def test_each_clip_counts_once_in_a_confusion_matrix() -> None:
    counts = np.array(confusion([[ANN, BOB]], "personal", 0))
    assert counts.sum() == 6
    assert counts[:2, :2].tolist() == [[3, 0], [0.5, 2.5]]
