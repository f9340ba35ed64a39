"""The default personal head: solved, chosen by evidence, and left alone without it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from client.personalisation.heads import PersonalHead, PersonalSettings
from client.personalisation.maximum_a_posteriori import (
    BIAS_VARIANCE,
    CANDIDATES,
    MOST_JUDGED,
    Chosen,
    Prior,
    choose_personal,
    evidence,
    fit_personal,
    fit_personals,
    judged,
)
from client.personalisation.metric import whitener
from client.personalisation.solver import Labels, Rows
from common.errors import UsageError

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


def person(each: int, seed: int = 0, dimension: int = 12) -> tuple[Rows, Rows, Labels]:
    """Clips with a point of the user's own per expression, which the universal head half knows."""
    chooser = np.random.default_rng(seed)
    points = 1.5 * np.random.default_rng(99).normal(size=(8, dimension))
    labels = np.repeat(np.arange(8), each)
    descriptors = np.clip(points[labels] + chooser.normal(size=(8 * each, dimension)), -3, 3)
    known = points + 1.2 * np.random.default_rng(98).normal(size=points.shape)
    return 0.4 * descriptors @ known.T, descriptors, labels


def flat_of(head: PersonalHead) -> Rows:
    return np.concatenate([head.weight.ravel(), head.bias])


def slope(head: PersonalHead, data: tuple[Rows, Rows, Labels], strength: float) -> float:
    """Largest entry of the written objective's gradient at a head: 0 at the minimum."""
    universal, descriptors, labels = data
    surplus = softmax(head.logits(universal, descriptors), axis=1)
    surplus = surplus - np.eye(universal.shape[1])[labels]
    by_weight = surplus.T @ descriptors + strength * head.weight
    by_bias = surplus.sum(axis=0) + strength / BIAS_VARIANCE * head.bias
    return float(max(np.abs(by_weight).max(), np.abs(by_bias).max()))


@settings(max_examples=60, deadline=None)
@given(
    clips=st.integers(1, 20),
    dimension=st.integers(1, 30),
    classes=st.integers(2, 8),
    strength=st.floats(0.05, 20),
    scale=st.floats(0, 2),
    seed=st.integers(0, 1000),
)
def test_it_is_a_minimum_of_the_written_problem(
    clips: int, dimension: int, classes: int, strength: float, scale: float, seed: int
) -> None:
    data = made_up(clips, dimension, classes, seed)
    head = fit_personal(*data, PersonalSettings(strength=strength, scale=scale))
    assert head.weight.shape == (classes, dimension)
    assert head.bias.shape == (classes,)
    assert slope(head, data, strength) < 1e-4


@pytest.mark.parametrize(("clips", "dimension"), [(8, 1280), (500, 35), (1, 1280), (1, 1)])
def test_wide_features_and_many_clips(clips: int, dimension: int) -> None:
    data = made_up(clips, dimension, 8)
    head = fit_personal(*data, PersonalSettings())
    assert head.weight.shape == (8, dimension)
    assert slope(head, data, 1.0) < 1e-4


def test_scale_0_is_own_clips_alone() -> None:
    universal, descriptors, labels = made_up(10, 4)
    alone = PersonalSettings(scale=0.0)
    one = fit_personal(universal, descriptors, labels, alone)
    other = fit_personal(-7 * universal, descriptors, labels, alone)
    np.testing.assert_array_equal(flat_of(one), flat_of(other))


def test_an_infinite_strength_is_the_universal_head() -> None:
    universal, descriptors, labels = made_up(10, 4)
    for strength, near in ((math.inf, 0.0), (1e9, 1e-6)):
        head = fit_personal(universal, descriptors, labels, PersonalSettings(strength=strength))
        np.testing.assert_allclose(head.logits(universal, descriptors), universal, atol=near)


def test_the_weaker_the_prior_the_better_own_clips_are_fitted() -> None:
    universal, descriptors, labels = made_up(10, 4)
    rights = []
    for strength in (100.0, 1.0, 0.01):
        head = fit_personal(universal, descriptors, labels, PersonalSettings(strength=strength))
        shares = softmax(head.logits(universal, descriptors), axis=1)
        rights.append(shares[np.arange(10), labels].mean())
    assert rights == sorted(rights)


def test_expressions_without_a_clip_keep_to_the_universal_head_or_below() -> None:
    """Nothing says that they occur, so no correction speaks for them; all stays finite."""
    universal, descriptors, _ = made_up(6, 4, 8)
    head = fit_personal(universal, descriptors, np.array([2, 2, 2, 5, 5, 5]), PersonalSettings())
    assert np.isfinite(flat_of(head)).all()
    assert (head.bias[[0, 1, 3, 4, 6, 7]] <= 1e-9).all()
    assert head.bias[[2, 5]].max() > 0


def test_the_same_clip_twice_is_half_the_strength() -> None:
    universal, descriptors, labels = made_up(3, 2)
    head = fit_personal(
        np.vstack([universal, universal]),
        np.vstack([descriptors, descriptors]),
        np.concatenate([labels, labels]),
        PersonalSettings(strength=2.0),
    )
    once = fit_personal(universal, descriptors, labels, PersonalSettings(strength=1.0))
    np.testing.assert_allclose(flat_of(head), flat_of(once), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(clips=st.integers(2, 15), seed=st.integers(0, 100))
def test_the_order_of_clips_does_not_matter(clips: int, seed: int) -> None:
    data = made_up(clips, 5, seed=seed)
    order = np.random.default_rng(seed).permutation(clips)
    one = choose_personal(*data, Prior())
    other = choose_personal(data[0][order], data[1][order], data[2][order], Prior())
    np.testing.assert_allclose(flat_of(one.head), flat_of(other.head), atol=1e-5)
    assert one.personal == other.personal


def test_a_whitener_is_a_prior_with_the_scatter_as_precision() -> None:
    universal, descriptors, labels = made_up(9, 3)
    root = np.random.default_rng(4).normal(size=(3, 3))
    white = root @ root.T + np.eye(3)
    head = fit_personal(
        universal, descriptors, labels, PersonalSettings(strength=0.8), whitener=white
    )
    surplus = softmax(head.logits(universal, descriptors), axis=1) - np.eye(CLASSES)[labels]
    precision = np.linalg.inv(white @ white)
    pull = surplus.T @ descriptors + 0.8 * head.weight @ precision
    assert np.abs(pull).max() < 1e-5


def test_several_settings_at_once_are_each_by_itself() -> None:
    data = made_up(7, 4)
    for settings_, head in zip(CANDIDATES, fit_personals(*data, CANDIDATES), strict=True):
        np.testing.assert_allclose(
            flat_of(head), flat_of(fit_personal(*data, settings_)), atol=1e-6
        )
        assert head.scale == settings_.scale


def test_evidence_is_what_each_clip_has_by_the_head_of_the_others() -> None:
    universal, descriptors, labels = person(2)
    prior = Prior()
    quick = evidence(universal, descriptors, labels, prior)
    for index, candidate in enumerate(prior.candidates):
        slow = 0.0
        for clip in range(len(labels)):
            rest = [other for other in range(len(labels)) if other != clip]
            head = fit_personal(universal[rest], descriptors[rest], labels[rest], candidate)
            scores = head.logits(universal[[clip]], descriptors[[clip]])
            slow += float(log_softmax(scores, axis=1)[0, labels[clip]])
        assert quick[index] == pytest.approx(slow, rel=0.2)


def test_what_the_fleet_knows_decides_where_own_clips_say_little() -> None:
    data = person(1)
    for best in (3, 7):
        known = tuple(float(index == best) for index in range(len(CANDIDATES)))
        found = choose_personal(*data, Prior(evidence=known, weight=1e6))
        assert found.settings == CANDIDATES[best]


def test_a_personal_head_is_better_on_unseen_clips() -> None:
    universal, descriptors, labels = person(30, seed=5)
    for each in (1, 2, 4):
        found = choose_personal(*person(each, seed=each), Prior())
        assert found.personal
        right = found.head.logits(universal, descriptors).argmax(axis=1) == labels
        assert right.mean() > (universal.argmax(axis=1) == labels).mean()


@pytest.mark.parametrize("each", [1, 2, 4, 10])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_labels_flipped_at_random_cost_at_most_2_points(each: int, share: float) -> None:
    universal, descriptors, answers = person(30, seed=5)
    before = (universal.argmax(axis=1) == answers).mean()
    after = []
    for seed in range(12):
        chooser = np.random.default_rng(seed)
        own, known, labels = person(each, seed=100 + seed)
        flipped = chooser.random(len(labels)) < share
        labels = np.where(flipped, chooser.integers(8, size=len(labels)), labels)
        head = choose_personal(own, known, labels, Prior()).head
        after.append((head.logits(universal, descriptors).argmax(axis=1) == answers).mean())
    assert np.mean(after) >= before - 0.02


def test_contradictory_labels_leave_the_universal_head_and_say_so() -> None:
    universal, descriptors, labels = person(4)
    shuffled = np.random.default_rng(1).permutation(labels)
    found = choose_personal(universal, descriptors, shuffled, Prior())
    assert not found.personal
    assert found.reason.startswith("universal head: 32 own clip(s) are too few or contradict")
    np.testing.assert_array_equal(found.head.logits(universal, descriptors), universal)


def test_one_clip_is_too_few_and_says_so() -> None:
    universal, descriptors, labels = person(1)
    found = choose_personal(universal[:1], descriptors[:1], labels[:1], Prior())
    assert not found.personal
    assert "1 own clip(s) are too few" in found.reason


def test_no_correction_is_chosen_where_the_fleet_says_that_none_helps() -> None:
    known = tuple(0.0 if math.isinf(each.strength) else -9.0 for each in CANDIDATES)
    found = choose_personal(*person(1), Prior(evidence=known))
    assert not found.personal
    assert "no correction" in found.reason


def of_expressions(chosen: tuple[int, ...], each: int = 4) -> Chosen:
    universal, descriptors, labels = person(each)
    rows = np.isin(labels, chosen)
    return choose_personal(universal[rows], descriptors[rows], labels[rows], Prior())


@pytest.mark.parametrize("chosen", [(3,), (3, 6)])
def test_a_user_with_few_expressions_keeps_the_others(chosen: tuple[int, ...]) -> None:
    universal, descriptors, labels = person(30, seed=5)
    logits = of_expressions(chosen).head.logits(universal, descriptors)
    others = ~np.isin(labels, chosen)
    before = (universal.argmax(axis=1) == labels)[others].mean()
    assert (logits.argmax(axis=1) == labels)[others].mean() >= before - 0.1


def test_corrected_labels_are_learnt_anew() -> None:
    """A head knows nothing of labels that it was not given: the newest ones alone count."""
    universal, descriptors, labels = person(4)
    wrong = labels.copy()
    wrong[:4] = 7
    first = choose_personal(universal, descriptors, labels, Prior())
    between = choose_personal(universal, descriptors, wrong, Prior())
    again = choose_personal(universal, descriptors, labels, Prior())
    assert not np.allclose(flat_of(first.head), flat_of(between.head))
    np.testing.assert_array_equal(flat_of(first.head), flat_of(again.head))


def test_500_clips() -> None:
    universal, descriptors, labels = person(63)
    universal, descriptors, labels = universal[:500], descriptors[:500], labels[:500]
    found = choose_personal(universal, descriptors, labels, Prior())
    assert found.personal
    right = found.head.logits(universal, descriptors).argmax(axis=1) == labels
    assert right.mean() > (universal.argmax(axis=1) == labels).mean()


@given(counts=st.lists(st.integers(0, 90), min_size=1, max_size=8))
def test_candidates_are_compared_on_clips_of_all_expressions(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    chosen = judged(labels)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(len(labels), MOST_JUDGED)
    for label, count in enumerate(counts):
        fair = count * len(chosen) / max(len(labels), 1)
        assert abs(int((labels[chosen] == label).sum()) - fair) <= 2


@pytest.mark.parametrize(
    "made",
    [
        lambda: PersonalSettings(strength=0.0),
        lambda: PersonalSettings(strength=math.nan),
        lambda: PersonalSettings(scale=-0.1),
        lambda: PersonalSettings(scale=math.inf),
        lambda: Prior(candidates=()),
        lambda: Prior(evidence=(1.0,)),
    ],
)
def test_settings_out_of_range_are_refused(made: object) -> None:
    with pytest.raises(UsageError):
        made()  # type: ignore[operator]


def test_a_whitener_whitens() -> None:
    scatter = np.array([[4.0, 1.0], [1.0, 2.0]])
    white = whitener(scatter)
    np.testing.assert_allclose(white, white.T)
    made = white @ (0.9 * scatter / 3 + 0.1 * np.eye(2)) @ white
    np.testing.assert_allclose(made, np.eye(2), atol=1e-12)


@pytest.mark.parametrize("scatter", [np.zeros((3, 3)), -np.eye(3)])
def test_a_scatter_of_nothing_whitens_nothing(scatter: Rows) -> None:
    np.testing.assert_array_equal(whitener(scatter), np.eye(3))


def test_an_indefinite_scatter_gives_a_bounded_whitener() -> None:
    white = whitener(np.random.default_rng(0).normal(size=(6, 6)))
    assert np.linalg.eigvalsh(white)[0] > 0
    assert np.linalg.eigvalsh(white)[-1] <= math.sqrt(10) + 1e-9
