"""`avatar-mismatch`: its figures from cells made by hand, real pairs, and the whole mini run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.avatar.detectors.file import NAMES
from simulations.avatars.difficulty import FROZEN
from simulations.avatars.real_clips import RealTask, measure_real
from simulations.experiments.avatar_mismatch import MINI, offers, summarise, tasks
from simulations.experiments.experiment import Config
from simulations.experiments.registry import EXPERIMENTS
from simulations.experiments.report.avatar_mismatch import section
from simulations.experiments.run import Options, run_experiment
from simulations.watching import unwatched
from tests.simulations.experiments.fakes import made_up_input

READ = {"face": 0.5, "own_face": 0.75, "avatar": 0.5, "own_avatar": 1.0}


def cell(fold: int, scores: dict[str, list[float]], threshold: float) -> dict[str, Any]:
    """A fold with four pairs of two people, the last two mismatches."""
    people = [1 + 2 * fold, 2 + 2 * fold]
    return {
        "task": {
            "kind": "synthetic pairs",
            "seed": 0,
            "fold": fold,
            "faces": 6,
            "avatars": 8,
            "difficulty": FROZEN.digest,
        },
        "data": {"name": "synthetic-pairs", "synthetic": True},
        "results": {
            "detectors": {
                name: {"scores": own, "threshold": threshold} for name, own in scores.items()
            },
            "mismatch": [False, False, True, True],
            "actors": people * 2,
            "read": READ,
            "training_pairs": 9,
            "practice_pairs": 8,
            "validation_pairs": 7,
        },
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """Everybody guesses but `personal`, whose scores have another scale in each fold."""
    guessing = {name: [0.0, 1.0, 0.0, 1.0] for name in NAMES}
    return summarise(
        [
            cell(0, {**guessing, "personal": [0.0, 0.2, 0.8, 0.9]}, 0.5),
            cell(1, {**guessing, "personal": [10.0, 12.0, 18.0, 19.0]}, 15.0),
        ]
    )


def test_figures_are_of_each_folds_own_scale(figures: dict[str, Any]) -> None:
    assert figures["accuracy"]["personal"] == 1.0
    assert figures["auc"] == {"labels": 0.5, "siamese": 0.5, "concat": 0.5, "personal": 1.0}
    assert (figures["eer"]["personal"], figures["people"], figures["pairs"]) == (0.0, 4, 8)
    assert figures["gain_in_auc"]["concat"]["mean"] == 0.5


def test_intervals_hold_the_figures(figures: dict[str, Any]) -> None:
    for measure in ("accuracy", "auc", "eer"):
        for name in NAMES:
            low, high = figures["intervals"][measure][name]
            assert low <= figures[measure][name] <= high


def test_the_report_calls_drawn_pairs_synthetic(figures: dict[str, Any]) -> None:
    part = section(figures)
    assert part.words[0].startswith("SYNTHETIC")
    titles = [each.title for each in part.tables] + [each.title for each in part.charts]
    assert all("ynthetic" in title for title in titles)
    assert "48 confirmed pictures" in part.words[1]


def test_a_task_per_seed_and_fold_names_the_difficulty() -> None:
    [offer] = offers(MINI, 1, unwatched)
    found = tasks(MINI, range(2), offer.load())
    assert [(task.seed, getattr(task, "fold", None)) for task in found] == [
        (seed, fold) for seed in range(2) for fold in range(3)
    ]
    assert {getattr(task, "difficulty", None) for task in found} == {FROZEN.digest[:12]}


def test_real_pairs_are_of_two_people_and_half_of_them_differ() -> None:
    source = made_up_input((1, 2, 8, 9, 12, 14))
    [task] = tasks(Config(protocols=(), heads=(), seeds=1, user_folds=2), [0], source)
    assert isinstance(task, RealTask)
    found = measure_real(task, source, lambda share: None)
    assert np.mean(found["mismatch"]) == 0.5
    assert len(set(found["users"])) == 6
    assert {len(found[name]) for name in ("universal", "personal", "users")} == {
        len(found["mismatch"])
    }
    assert 0 <= min(found["personal"]) <= max(found["personal"]) <= 1


@pytest.mark.slow
def test_the_mini_run_keeps_what_was_promised(tmp_path: Path) -> None:
    options = Options(out=tmp_path, mini=True, workers=2)
    found = run_experiment(EXPERIMENTS["avatar-mismatch"], options, unwatched)
    accuracy, auc = found["accuracy"], found["auc"]
    assert found["synthetic"]
    assert found["difficulty"] == FROZEN.digest
    assert 0.60 <= accuracy["labels"] <= 0.75
    assert accuracy["concat"] >= 0.81
    assert accuracy["personal"] >= max(0.90, accuracy["concat"])
    assert auc["personal"] > max(auc[name] for name in NAMES if name != "personal")
    low, high = found["intervals"]["accuracy"]["personal"]
    assert low <= accuracy["personal"] <= high
