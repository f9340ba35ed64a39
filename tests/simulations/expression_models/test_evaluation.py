"""Figures against scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from simulations.expression_models.evaluation import Predictions, figures
from tests.simulations.expression_models.toys import CLASSES, toy_faces

FACES = toy_faces(8)


def predictions(seed: int = 0) -> Predictions:
    logits = np.random.default_rng(seed).normal(size=(len(FACES), 3)).astype(np.float32)
    indices = np.arange(len(FACES))
    return Predictions(indices, FACES.labels, logits, np.zeros((len(FACES), 2), np.float32), ("x",))


def test_figures_are_scikit_learns() -> None:
    seen = predictions()
    found = figures(seen, FACES, seed=0)
    true, chosen = seen.labels, seen.chosen
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(true, chosen))
    assert found["macro_recall"] == pytest.approx(metrics.balanced_accuracy_score(true, chosen))
    assert found["confusion"]["counts"] == metrics.confusion_matrix(true, chosen).tolist()
    shares = np.exp(seen.logits) / np.exp(seen.logits).sum(axis=1, keepdims=True)
    assert found["loss"] == pytest.approx(metrics.log_loss(true, shares), rel=1e-5)
    recall = metrics.recall_score(true, chosen, average=None)
    precision = metrics.precision_score(true, chosen, average=None)
    for label, name in enumerate(CLASSES):
        assert found["per_class"][name]["recall"] == pytest.approx(recall[label])
        assert found["per_class"][name]["precision"] == pytest.approx(precision[label])
    assert found["damaged"] == 1


def test_interval_is_over_people_where_they_are_known() -> None:
    people = tuple(f"actor {index % 3}" for index in range(len(FACES)))
    over_faces = figures(predictions(), FACES, seed=0)["interval"]
    over_people = figures(predictions(), replace(FACES, people=people), seed=0)["interval"]
    assert (over_faces["method"], over_people["method"]) == (
        "Wilson, over faces",
        "percentile bootstrap over people",
    )
    assert over_people["low"] <= figures(predictions(), FACES, seed=0)["accuracy"]


def test_a_class_without_faces_has_no_recall() -> None:
    part = FACES.part(np.flatnonzero(FACES.labels != 2), "two classes")
    seen = predictions()
    kept = np.flatnonzero(seen.labels != 2)
    fewer = Predictions(
        np.arange(len(kept)), seen.labels[kept], seen.logits[kept], seen.features[kept], ()
    )
    assert figures(fewer, part, seed=0)["per_class"][CLASSES[2]]["recall"] is None
