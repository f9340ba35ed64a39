"""Which head is chosen for a user, and how before and after are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from client.device.bases import Sight
from client.device.personal import (
    FOLDS,
    MOST_LEFT_OUT,
    Comparison,
    compare,
    fit,
    groups,
    head_arrays,
    head_from,
    held_out,
)
from client.personalisation.maximum_a_posteriori import Prior, choose_personal
from client.personalisation.solver import Labels


def seen(labels: Labels, *, wrong: float, seed: int = 0, informative: bool = True) -> Sight:
    """Clips whose base logits are wrong with a probability and whose descriptors say the label."""
    chooser = np.random.default_rng(seed)
    said = np.where(chooser.random(len(labels)) < wrong, (labels + 1) % 8, labels)
    centres = np.random.default_rng(99).normal(size=(8, 10))
    noise = 0.3 * chooser.normal(size=(len(labels), 10))
    descriptors = (centres[labels] if informative else 0 * centres[labels]) + noise
    return Sight(2.0 * np.eye(8)[said], descriptors, None)


def some_labels(count: int, of: int = 4) -> Labels:
    return np.arange(count, dtype=np.int64) % of


def test_a_base_that_is_often_wrong_is_corrected() -> None:
    labels = some_labels(24)
    fitted = fit(seen(labels, wrong=0.6), labels)
    assert fitted.personal
    assert fitted.comparison.after > fitted.comparison.before
    assert fitted.comparison.clips == 24
    assert "bear it out" in fitted.reason


def test_a_base_that_is_right_stays() -> None:
    labels = some_labels(16)
    fitted = fit(seen(labels, wrong=0.0, informative=False), labels)
    assert fitted.comparison.before == 16
    assert not fitted.personal or fitted.comparison.after == 16


def test_no_clip_and_one_clip_are_too_few_to_say() -> None:
    for count in (0, 1):
        labels = some_labels(count)
        sight = seen(labels, wrong=0.0)
        fitted = fit(sight, labels)
        assert not fitted.personal
        assert "too few clips to say" in fitted.comparison.sentence
        assert not np.any(fitted.head.weight)


@pytest.mark.parametrize("count", [2, 10, 60])
def test_clips_of_one_expression_only_teach_nothing(count: int) -> None:
    labels = np.full(count, 2, dtype=np.int64)
    fitted = fit(seen(labels, wrong=1.0), labels)
    assert not fitted.personal
    assert f"your {count} labelled clip(s) all show 'happy'" in fitted.reason
    assert fitted.comparison.after == fitted.comparison.before == 0


def test_random_labels_are_not_learnt() -> None:
    labels = np.random.default_rng(3).integers(0, 8, size=40)
    fitted = fit(seen(some_labels(40, 8), wrong=0.2, seed=1), labels)
    assert not fitted.personal


def test_what_makes_things_worse_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = some_labels(24)
    sight = seen(labels, wrong=0.6)
    worse = Comparison(clips=24, before=10, after=9, better=0, worse=1)
    monkeypatch.setattr("client.device.personal.compare", lambda sight, labels: worse)
    fitted = fit(sight, labels)
    assert not fitted.personal
    assert (
        "without learning more of your own clips are right (10 of 24, with it 9)" in fitted.reason
    )
    assert not np.any(fitted.head.weight)


def test_a_clip_is_never_read_by_a_head_that_has_seen_it() -> None:
    """Held-out logits, against fitting each time anew from scratch."""
    labels = some_labels(9, 3)
    sight = seen(labels, wrong=0.5)
    found = held_out(sight, labels)
    for left in range(9):
        rest = [i for i in range(9) if i != left]
        chosen = choose_personal(sight.logits[rest], sight.descriptors[rest], labels[rest], Prior())
        expected = chosen.head.logits(sight.logits[[left]], sight.descriptors[[left]])[0]
        np.testing.assert_allclose(found[left], expected)


def test_memorising_gains_nothing() -> None:
    """Descriptors that name the clip fit every label and tell nothing of the next clip."""
    labels = np.random.default_rng(0).integers(0, 8, size=30)
    sight = Sight(np.zeros((30, 8)), 10 * np.eye(30), None)
    assert compare(sight, labels).after <= 12
    assert not fit(sight, labels).personal


@given(st.integers(0, 200), st.integers(1, 8), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_every_clip_is_left_out_once(count: int, of: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, of, size=count)
    found = groups(labels)
    together = sorted(int(index) for group in found for index in group)
    assert together == list(range(count))
    assert len(found) == (count if count <= MOST_LEFT_OUT else FOLDS)
    if count > MOST_LEFT_OUT:
        for label in range(of):
            shares = [int((labels[group] == label).sum()) for group in found]
            assert max(shares) - min(shares) <= 1


@given(st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_chance_is_a_sign_test(better: int, worse: int) -> None:
    both = 100
    told = Comparison(
        clips=200, before=both + worse, after=both + better, better=better, worse=worse
    )
    expected = 1.0 if not better + worse else binomtest(better, better + worse).pvalue
    assert told.chance == pytest.approx(expected)
    assert ("chance" in told.sentence) == (better + worse > 0 and expected >= 0.05)
    assert ("no difference yet" in told.sentence) == (better + worse == 0)


def test_five_better_may_be_chance_six_not() -> None:
    def told(better: int) -> Comparison:
        return Comparison(clips=20, before=5, after=5 + better, better=better, worse=0)

    assert "too few clips to tell that from chance" in told(5).sentence
    assert "chance" not in told(6).sentence


def test_a_head_comes_back_from_its_arrays() -> None:
    labels = some_labels(24)
    head = fit(seen(labels, wrong=0.6), labels).head
    arrays: dict[str, Any] = {**head_arrays(head), "mean": np.zeros(3)}
    again = head_from(arrays)
    np.testing.assert_array_equal(again.weight, head.weight)
    np.testing.assert_array_equal(again.bias, head.bias)
    assert again.scale == head.scale
