"""Personal heads against a slow oracle, and at the edges of what a user can have."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from client.personal import Labels, PersonalHead, PersonalSettings, Rows, fit_personal

CLASSES = 4


def made_up(
    clips: int, dimension: int, classes: int = CLASSES, seed: int = 0
) -> tuple[Rows, Rows, Labels]:
    """Universal logits, descriptors and labels of one user."""
    chooser = np.random.default_rng(seed)
    descriptors = np.clip(chooser.normal(size=(clips, dimension)), -3, 3)
    labels = chooser.integers(classes, size=clips)
    universal = chooser.normal(size=(clips, classes)) + 1.5 * np.eye(classes)[labels]
    return universal, descriptors, labels


def loss(
    flat: Rows, universal: Rows, descriptors: Rows, labels: Labels, prior: PersonalSettings
) -> float:
    """The objective as it is written, clip by clip, over the full weight and bias."""
    classes, dimension = universal.shape[1], descriptors.shape[1]
    weight = flat[: classes * dimension].reshape(classes, dimension)
    bias = flat[classes * dimension :]
    total = 0.0
    for clip, label in enumerate(labels):
        scores = [
            prior.scale * universal[clip, k] + float(weight[k] @ descriptors[clip]) + bias[k]
            for k in range(classes)
        ]
        highest = max(scores)
        total += highest + math.log(sum(math.exp(s - highest) for s in scores)) - scores[label]
    return total + prior.strength / 2 * float(flat @ flat)


def flat_of(head: PersonalHead) -> Rows:
    return np.concatenate([head.weight.ravel(), head.bias])


def slope(
    head: PersonalHead, universal: Rows, descriptors: Rows, labels: Labels, strength: float
) -> float:
    """Largest entry of the full objective's gradient at a head: 0 at the minimum."""
    logits = head.logits(universal, descriptors)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    surplus = shares / shares.sum(axis=1, keepdims=True) - np.eye(logits.shape[1])[labels]
    by_weight = surplus.T @ descriptors + strength * head.weight
    by_bias = surplus.sum(axis=0) + strength * head.bias
    return float(max(np.abs(by_weight).max(), np.abs(by_bias).max()))


@pytest.mark.parametrize("scale", [0.0, 0.75, 1.0])
@pytest.mark.parametrize(("clips", "dimension"), [(1, 3), (3, 5), (6, 2), (12, 3)])
def test_the_same_as_the_full_problem_solved_slowly(
    clips: int, dimension: int, scale: float
) -> None:
    data = made_up(clips, dimension, seed=clips)
    prior = PersonalSettings(strength=0.7, scale=scale)
    found = fit_personal(*data, prior)
    start = np.zeros(CLASSES * (dimension + 1))
    slow = minimize(loss, start, args=(*data, prior), method="BFGS", options={"gtol": 1e-6})
    assert loss(flat_of(found), *data, prior) <= slow.fun + 1e-7
    np.testing.assert_allclose(flat_of(found), slow.x, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(
    clips=st.integers(1, 20),
    dimension=st.integers(1, 30),
    classes=st.integers(2, 8),
    strength=st.floats(0.05, 20),
    scale=st.floats(0, 2),
    seed=st.integers(0, 1000),
)
def test_it_is_a_minimum_of_the_full_problem(
    clips: int, dimension: int, classes: int, strength: float, scale: float, seed: int
) -> None:
    universal, descriptors, labels = made_up(clips, dimension, classes, seed)
    prior = PersonalSettings(strength=strength, scale=scale)
    head = fit_personal(universal, descriptors, labels, prior)
    assert head.weight.shape == (classes, dimension)
    assert head.bias.shape == (classes,)
    assert slope(head, universal, descriptors, labels, strength) < 1e-2


@pytest.mark.parametrize(("clips", "dimension"), [(8, 1280), (500, 35), (1, 1280), (1, 1)])
def test_wide_features_and_many_clips(clips: int, dimension: int) -> None:
    universal, descriptors, labels = made_up(clips, dimension, 8)
    head = fit_personal(universal, descriptors, labels, PersonalSettings())
    assert head.weight.shape == (8, dimension)
    assert slope(head, universal, descriptors, labels, 1.0) < 1e-2


def test_scale_0_is_own_clips_alone() -> None:
    universal, descriptors, labels = made_up(10, 4)
    alone = PersonalSettings(scale=0.0)
    one = fit_personal(universal, descriptors, labels, alone)
    other = fit_personal(-7 * universal, descriptors, labels, alone)
    np.testing.assert_array_equal(flat_of(one), flat_of(other))
    np.testing.assert_array_equal(
        one.logits(universal, descriptors), one.logits(0 * universal, descriptors)
    )


def test_a_strong_prior_leaves_the_universal_head() -> None:
    universal, descriptors, labels = made_up(10, 4)
    head = fit_personal(universal, descriptors, labels, PersonalSettings(strength=1e9))
    np.testing.assert_allclose(head.logits(universal, descriptors), universal, atol=1e-6)


def test_the_weaker_the_prior_the_better_own_clips_are_fitted() -> None:
    universal, descriptors, labels = made_up(10, 4)
    rights = []
    for strength in (100.0, 1.0, 0.01):
        head = fit_personal(universal, descriptors, labels, PersonalSettings(strength=strength))
        logits = head.logits(universal, descriptors)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        rights.append(shares[np.arange(10), labels].mean())
    assert rights == sorted(rights)


def test_expressions_without_a_clip_keep_to_the_universal_head_or_below() -> None:
    """Nothing says that they occur, so no correction speaks for them; all stays finite."""
    universal, descriptors, _ = made_up(6, 4, 8)
    head = fit_personal(universal, descriptors, np.array([2, 2, 2, 5, 5, 5]), PersonalSettings())
    missing = [0, 1, 3, 4, 6, 7]
    assert np.isfinite(flat_of(head)).all()
    assert (head.bias[missing] <= 1e-9).all()
    assert head.bias[[2, 5]].max() > 0


def test_one_clip_moves_the_choice_for_that_clip_towards_its_label() -> None:
    universal, descriptors, labels = made_up(1, 4)
    head = fit_personal(universal, descriptors, labels, PersonalSettings(strength=0.1))
    gain = head.logits(universal, descriptors) - universal
    assert gain.argmax() == labels[0]


def test_the_same_clip_twice() -> None:
    universal, descriptors, labels = made_up(3, 2)
    twice = [np.concatenate([part, part]) for part in (universal, descriptors, labels)]
    head = fit_personal(*twice, PersonalSettings(strength=2.0))
    once = fit_personal(universal, descriptors, labels, PersonalSettings(strength=1.0))
    np.testing.assert_allclose(flat_of(head), flat_of(once), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(clips=st.integers(2, 15), seed=st.integers(0, 100))
def test_the_order_of_clips_does_not_matter(clips: int, seed: int) -> None:
    universal, descriptors, labels = made_up(clips, 5, seed=seed)
    order = np.random.default_rng(seed).permutation(clips)
    one = fit_personal(universal, descriptors, labels, PersonalSettings())
    other = fit_personal(universal[order], descriptors[order], labels[order], PersonalSettings())
    np.testing.assert_allclose(flat_of(one), flat_of(other), atol=2e-3)
