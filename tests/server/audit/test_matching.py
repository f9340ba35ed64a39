"""A2c: few clips are rebuilt by playing their training again; noise and many clips are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from server.audit.attacks import a02c_matching
from server.audit.attacks.a02c_matching import matched, rebuild
from server.audit.finding import INDIVIDUAL, Verdict
from server.audit.lab import CLASSES, Lab, play, sgd_trainer
from server.audit.subject import Step, Subject
from tests.server.audit.conftest import as_noise

TINY = Lab(clients=2, clips=4, other_takes=1, rounds=2, public=2, dimension=60, epochs=2)


@pytest.fixture(scope="module")
def tiny() -> Subject:
    return play(TINY)


def test_one_clip_of_each_expression_is_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through two local steps; the guess knows nothing but the labels."""
    monkeypatch.setattr(a02c_matching, "ITERATIONS", 60)
    random = np.random.default_rng(0)
    clips, labels = random.normal(size=(4, 30)), np.array([0, 2, 5, 7])
    sent = Step(1, np.zeros((CLASSES, 30)), np.zeros(CLASSES))
    train = sgd_trainer(Lab(epochs=2, batch=4))
    move = Step(1, *train(sent.weight, sent.bias, clips, labels, random))
    start = 0.1 * random.normal(size=clips.shape)
    found = rebuild([sent], [move], labels, start, epochs=2)
    assert matched(found, clips, np.zeros(30)).min() > 0.95


def test_matching_is_one_to_one() -> None:
    truth = np.eye(3)
    assert matched(truth[[2, 0, 1]], truth, np.zeros(3)).tolist() == [1, 1, 1]
    assert sorted(matched(truth[[0, 0, 0]], truth, np.zeros(3))) == [0, 0, 1]


@pytest.mark.slow
def test_a_small_devices_clips_are_found(tiny: Subject) -> None:
    outcome = a02c_matching.run(tiny, INDIVIDUAL)
    assert outcome.figure is not None
    assert outcome.chance is not None
    assert outcome.figure > 0.6
    assert outcome.chance < 0.3


@pytest.mark.slow
def test_noise_tells_nothing(tiny: Subject) -> None:
    assert a02c_matching.run(as_noise(tiny), INDIVIDUAL).verdict is Verdict.PASS


def test_larger_devices_are_not_measured() -> None:
    many = play(replace(TINY, clips=17, rounds=1))
    outcome = a02c_matching.run(many, INDIVIDUAL)
    assert outcome.verdict is Verdict.NOT_MEASURABLE
    assert "at most 16 clips" in outcome.meaning
