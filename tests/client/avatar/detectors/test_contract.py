"""What every detector must do, whatever its kind: one suite over all four."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.avatar.detectors.file import NAMES, load_detector, read_detector, save_detector
from client.avatar.detectors.interface import CLASSES, Detector, MadeFor, Pair, Seen, is_mismatch
from client.avatar.detectors.training import scores_of, train
from common.errors import UsageError, WorkError
from tests.client.avatar.detectors.made_up import WIDTH, labelled, pair

MADE_FOR = MadeFor("faces/1", "avatars/1")


@pytest.fixture(scope="module")
def detectors() -> dict[str, Detector]:
    training, validation = labelled(400), labelled(100, 1)
    return {name: train(name, training, validation, MADE_FOR) for name in NAMES}


@pytest.fixture(params=NAMES)
def detector(request: pytest.FixtureRequest, detectors: dict[str, Detector]) -> Detector:
    return detectors[request.param]


def test_says_what_it_is_and_what_it_reads(detector: Detector) -> None:
    assert detector.name in NAMES
    assert detector.made_for == MADE_FOR


def test_tells_planted_mismatches_from_matches(detector: Detector) -> None:
    unseen = labelled(200, 2)
    told = np.array([is_mismatch(detector, each) for each in unseen.pairs])
    assert (told == unseen.mismatch).mean() > 0.9


def test_scores_are_finite_where_models_are_certain(detector: Detector) -> None:
    sure, zeros = np.eye(CLASSES)[0], np.zeros(WIDTH, np.float32)
    for other in (np.eye(CLASSES)[0], np.eye(CLASSES)[3]):
        certain = Pair(Seen(zeros, sure), Seen(zeros, other), sure, other)
        assert np.isfinite(detector.score(certain))


def test_a_file_gives_back_the_same_scores(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    save_detector(path, detector, {"synthetic": True})
    back, about = read_detector(path)
    pairs = labelled(20, 3).pairs
    assert np.array_equal(scores_of(back, pairs), scores_of(detector, pairs))
    assert (back.name, back.threshold, back.made_for) == (
        detector.name,
        detector.threshold,
        MADE_FOR,
    )
    assert about == {"synthetic": True}


def test_works_for_users_without_a_head_of_their_own(detector: Detector) -> None:
    strangers = labelled(200, 4, own=False)
    told = np.array([is_mismatch(detector, each) for each in strangers.pairs])
    assert (told == strangers.mismatch).mean() > 0.8


def test_a_cut_file_is_refused(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    save_detector(path, detector)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WorkError, match="no readable detector"):
        load_detector(path)


@pytest.mark.parametrize("name", ["siamese", "concat"])
def test_features_of_another_length_are_refused(name: str, detectors: dict[str, Detector]) -> None:
    random = np.random.default_rng(0)
    made = pair(1, 1, random)
    longer = Seen(np.zeros(WIDTH + 3, np.float32), made.face.probabilities)
    with pytest.raises(UsageError, match="the backbone that it was trained with"):
        detectors[name].score(Pair(longer, made.avatar))


def test_training_again_gives_the_same_detector() -> None:
    made = [train("personal", labelled(60), labelled(40, 1), MADE_FOR, seed=3) for _ in range(2)]
    pairs = labelled(10, 2).pairs
    assert np.array_equal(scores_of(made[0], pairs), scores_of(made[1], pairs))


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(UsageError, match="labels, siamese, concat, personal"):
        train("clever", labelled(10), labelled(10), MADE_FOR)
