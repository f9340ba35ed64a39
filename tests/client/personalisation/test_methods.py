"""The contract that every personalisation method keeps, for every kind of head."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch

from client.personalisation import DEFAULT_METHOD, METHODS
from client.personalisation.branches import (
    Steps,
    Trained,
    mixed_logits,
    parameters_of,
    train,
)
from client.personalisation.confident import SURE
from client.personalisation.interface import Fitting, Personalised, View, get_acquainted
from client.personalisation.solver import Labels
from common.clips import ClipSet
from common.heads.specification import KINDS
from common.heads.universal import UniversalHead
from tests.client.fakes import any_head, made_up_clips, specification

CLIPS = made_up_clips(["Ada", "Ben"], per_expression=4)
FITTING = Fitting(seed=3, user="Ada")
LEARNING = [name for name in METHODS if name != "universal"]


def head_of(kind: str, *, scatter: bool = False) -> UniversalHead:
    found = any_head(dataclasses.replace(specification(kind), scatter=scatter))
    small = {
        name: array if name.startswith("reference") else np.float32(0.3) * array
        for name, array in found.arrays.items()
    }
    return dataclasses.replace(found, arrays=small)


def sides(kind: str, user: str = "Ada", **options: bool) -> tuple[View, Labels, View, Labels]:
    """A user's clips to learn from and to be asked about."""
    own = CLIPS.of_user(user)
    rows = np.arange(len(own))
    known, asked = own.select(rows[rows % 4 < 3]), own.select(rows[rows % 4 == 3])
    acquaintance = get_acquainted(head_of(kind, **options), known)
    return acquaintance.view(known), known.labels, acquaintance.view(asked), asked.labels


@functools.cache
def fitted(name: str, kind: str, user: str = "Ada") -> Personalised:
    """Fitted once for all tests that only ask it."""
    view, labels, _, _ = sides(kind, user)
    return METHODS[name](view, labels, FITTING)


each_method = pytest.mark.parametrize("name", METHODS)
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_method
@each_kind
def test_logits_are_finite_and_one_row_per_clip(name: str, kind: str) -> None:
    _, _, asked, _ = sides(kind)
    found = fitted(name, kind)
    assert found.logits(asked).shape == (8, 8)
    assert np.isfinite(found.logits(asked)).all()
    assert found.reason.startswith("personal head" if found.personal else "universal head")


@each_method
@each_kind
def test_the_same_again(name: str, kind: str) -> None:
    view, labels, asked, _ = sides(kind)
    again = METHODS[name](view, labels, FITTING)
    np.testing.assert_array_equal(fitted(name, kind).logits(asked), again.logits(asked))


@each_method
@each_kind
def test_the_universal_head_stays_as_it_was(name: str, kind: str) -> None:
    view, labels, asked, _ = sides(kind)
    before = {key: array.copy() for key, array in view.head.arrays.items()}
    universal = view.universal.copy()
    METHODS[name](view, labels, FITTING).logits(asked)
    for key, array in view.head.arrays.items():
        np.testing.assert_array_equal(array, before[key])
    np.testing.assert_array_equal(view.universal, universal)


@each_method
@each_kind
def test_a_clip_is_answered_alike_among_others(name: str, kind: str) -> None:
    _, _, asked, _ = sides(kind)
    found = fitted(name, kind)
    alone = found.logits(asked.select([5]))
    np.testing.assert_allclose(alone, found.logits(asked)[[5]], atol=1e-9)


@each_method
@pytest.mark.parametrize("rows", [[0], [0, 1, 2], [0, 3, 6]])
def test_one_clip_one_expression_and_unseen_expressions(name: str, rows: list[int]) -> None:
    view, labels, asked, _ = sides("logistic")
    found = METHODS[name](view.select(rows), labels[rows], FITTING)
    assert np.isfinite(found.logits(asked)).all()


@pytest.mark.parametrize("name", LEARNING)
@each_kind
def test_users_get_heads_of_their_own(name: str, kind: str) -> None:
    _, _, asked, _ = sides(kind)
    ada, ben = (fitted(name, kind, user).logits(asked) for user in ("Ada", "Ben"))
    assert not np.allclose(ada, ben)


@pytest.mark.parametrize("name", LEARNING)
@each_kind
def test_own_clips_are_fitted_better_than_before(name: str, kind: str) -> None:
    view, labels, _, _ = sides(kind)
    logits = fitted(name, kind).logits(view)

    def likelihood(scores: np.ndarray) -> float:
        return -float(torch.nn.functional.cross_entropy(torch.tensor(scores), torch.tensor(labels)))

    assert likelihood(logits) > likelihood(view.universal)


def test_the_default_is_a_method() -> None:
    assert DEFAULT_METHOD == "map"
    assert DEFAULT_METHOD in METHODS


def test_local_only_knows_nothing_of_the_universal_head() -> None:
    found = []
    for seed in (1, 2):
        own = CLIPS.of_user("Ada")
        view = get_acquainted(any_head(specification(), seed), own).view(own)
        found.append(METHODS["local-only"](view, own.labels, FITTING).logits(view))
    np.testing.assert_array_equal(found[0], found[1])


def test_a_scatter_changes_the_default_method_only_where_the_head_holds_one() -> None:
    plain, whitened = (sides("logistic", scatter=scatter) for scatter in (False, True))
    assert plain[0].head.scatter is None
    one, other = (METHODS["map"](s[0], s[1], FITTING).logits(s[2]) for s in (plain, whitened))
    assert not np.allclose(one - plain[2].universal, other - whitened[2].universal)


@each_kind
def test_stepping_nothing_is_the_universal_head(kind: str) -> None:
    view, labels, asked, _ = sides(kind)
    steps = Steps(epochs=0, learning_rate=0.1, batch=8)
    found = train(view, labels, parameters_of(view.head), steps)
    np.testing.assert_allclose(Trained(found, "").logits(asked), asked.universal, atol=1e-12)


def test_steps_by_hand_are_torch_s_steps() -> None:
    """Adam on the logistic head, against torch's own optimiser and derivatives."""
    view, labels, _, _ = sides("logistic")
    start, steps = parameters_of(view.head), Steps(epochs=9, learning_rate=0.05, batch=5, pull=0.3)
    leaves = {name: value.clone().requires_grad_(True) for name, value in start.items()}
    optimiser = torch.optim.Adam(list(leaves.values()), lr=0.05)
    for rows in steps.batches(len(labels)):
        part = view.select(rows.tolist())
        optimiser.zero_grad()
        scores = mixed_logits(view.head, leaves, part.inputs, view.trust)
        loss = torch.nn.functional.cross_entropy(scores, torch.tensor(labels[rows]))
        for name, value in leaves.items():
            loss = loss + 0.15 * (value - start[name]).square().sum()
        loss.backward()
        optimiser.step()
    found = train(view, labels, start, steps)
    for name, value in leaves.items():
        np.testing.assert_allclose(found[name], value.detach(), atol=1e-9)


def test_a_pull_keeps_nearer_to_the_universal_head() -> None:
    view, labels, _, _ = sides("single-attention")
    start, far = parameters_of(view.head), []
    for pull in (0.0, 5.0):
        steps = Steps(epochs=40, learning_rate=0.05, batch=8, pull=pull)
        found = train(view, labels, start, steps)
        far.append(sum(float((found[name] - start[name]).square().sum()) for name in start))
    assert far[1] < far[0]


def test_confident_predictions_are_learnt_from_only_where_asked() -> None:
    view, labels, asked, _ = sides("logistic")
    strong = dataclasses.replace(asked, universal=20 * asked.universal)
    plain = METHODS["map"](view, labels, dataclasses.replace(FITTING, unlabelled=strong))
    assert "guessed" not in plain.reason
    off = METHODS["map"](view, labels, FITTING)
    np.testing.assert_array_equal(plain.logits(asked), off.logits(asked))
    both = dataclasses.replace(FITTING, unlabelled=strong, confident=True)
    found = METHODS["map"](view, labels, both)
    assert "guessed label(s) learnt from too" in found.reason
    assert not np.allclose(found.logits(asked), plain.logits(asked))
    assert 0.5 < SURE < 1


def test_a_view_of_some_clips_is_the_view_of_those_clips() -> None:
    own: ClipSet = CLIPS.of_user("Ada")
    acquaintance = get_acquainted(head_of("self-attention"), own)
    some, alone = acquaintance.view(own).select([3, 9]), acquaintance.view(own.select([3, 9]))
    for name in ("universal", "descriptors", "own", "raw"):
        np.testing.assert_allclose(getattr(some, name), getattr(alone, name), atol=1e-12)
    assert some.inputs.user.frames.shape == alone.inputs.user.frames.shape
    assert len(some) == 2
