"""Pairs refuse what is no reading; detectors' files refuse what is no detector."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from client.avatar.detectors.file import load_detector
from client.avatar.detectors.interface import CLASSES, Pair, Seen
from client.avatar.detectors.personal import CASES, case_of, evidence_rows, without
from common.errors import UsageError, WorkError
from tests.client.avatar.detectors.made_up import pair

EVEN = np.full(CLASSES, 1 / CLASSES)
FEATURES = np.zeros(3, np.float32)


@pytest.mark.parametrize(
    "posterior",
    [EVEN[:7], EVEN * 2, EVEN * np.nan, np.eye(CLASSES)[0] * 2 - EVEN],
    ids=["seven", "sum 2", "nan", "negative"],
)
def test_what_is_no_posterior_is_refused(posterior: np.ndarray) -> None:
    with pytest.raises(UsageError, match="probabilities"):
        Seen(FEATURES, posterior)
    fine = Seen(FEATURES, EVEN)
    with pytest.raises(UsageError, match="personal"):
        Pair(fine, fine, posterior)


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UsageError, match="features of a picture"):
        Seen(FEATURES + np.inf, EVEN)


@pytest.mark.parametrize("case", CASES)
def test_a_pair_can_forget_readings(case: str) -> None:
    made = pair(1, 2, np.random.default_rng(0))
    assert case_of(without(made, case)) == case


def test_evidence_of_agreement_is_larger_where_both_read_the_same() -> None:
    random = np.random.default_rng(1)
    rows = evidence_rows([pair(3, 3, random), pair(3, 4, random)])
    assert rows[0, 0] > 0 > rows[1, 0]
    assert np.isfinite(rows).all()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, "no readable detector"),
        ({"format": 2}, "another format"),
        ({"name": "clever"}, "its kind is 'clever'"),
        ({"threshold": "nan"}, "threshold"),
        ({"name": "concat"}, "missing"),
    ],
)
def test_files_that_are_no_detectors_are_refused(
    told: dict[str, object] | None, words: str, tmp_path: Path
) -> None:
    whole = {
        "format": 1,
        "name": "labels",
        "threshold": 0.5,
        "face": "a",
        "avatar": "b",
        "about": {},
    }
    metadata = None if told is None else {"detector": json.dumps(whole | told)}
    save_file({}, tmp_path / "detector", metadata)
    with pytest.raises(WorkError, match=words):
        load_detector(tmp_path / "detector")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="there is no such file"):
        load_detector(tmp_path / "nothing")
