"""A device's round: trained minus received, declined where it must be, users kept apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from client.rounds import answer
from client.training import FEWEST_CLIPS, head_update, reference_update, training_batches
from common.clips import ClipSet
from common.heads.specification import BRANCHES, HEAD_STAGE, KINDS, REFERENCE_STAGE
from common.heads.standardise import Reference, exact_reference
from common.heads.training import TrainingSettings, train_branch
from common.heads.universal import clip_rows, initial_head
from tests.client.fakes import any_head, device, made_up_clips, request, specification

TRAINING = TrainingSettings(epochs=3, learning_rate=0.5, l2=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_is_trained_minus_received(kind: str) -> None:
    head, clips = any_head(specification(kind)), made_up_clips(["Ada", "Ben"])
    update = head_update(head, clips, TRAINING, round=3)
    assert (update.stage, update.round, update.clips) == (HEAD_STAGE, 3, len(clips))
    for branch in BRANCHES:
        batch = training_batches(head, clips)[branch]
        labels = torch.from_numpy(clips.labels)
        trained = train_branch(kind, head.branch(branch), batch, labels, TRAINING)
        for name, value in trained.items():
            received = head.arrays[f"{branch}.{name}"]
            np.testing.assert_allclose(
                update.arrays[f"{branch}.{name}"], value.numpy() - received, atol=1e-6
            )
    assert any(np.abs(array).max() > 1e-3 for array in update.arrays.values())


def test_training_leaves_the_received_head_as_it_was() -> None:
    head, clips = any_head(specification()), made_up_clips()
    before = {name: array.copy() for name, array in head.arrays.items()}
    reference_update(head, clips)
    head_update(head, clips, TRAINING, round=1)
    for name, array in before.items():
        np.testing.assert_array_equal(head.arrays[name], array)


def test_the_reference_is_near_the_exact_one_but_not_it() -> None:
    """Rounded to half the spread: near enough to average, too coarse to tell a clip by."""
    clips = made_up_clips(["Ada", "Ben"], per_expression=4)
    head = initial_head(specification(), 1)
    update = reference_update(head, clips)
    rows = clip_rows(head.specification, clips)
    exact = exact_reference([rows.of_user(user) for user in ("Ada", "Ben")])
    told = Reference(update.arrays["reference.centre"], update.arrays["reference.spread"])
    assert (np.abs(told.centre - exact.centre) <= 0.36 * exact.spread + 1e-6).all()
    ratio = told.spread / exact.spread
    assert ((ratio > 0.7) & (ratio < 1.42)).all()
    np.testing.assert_array_equal(np.log2(told.spread) % 1, 0)
    steps = 2 * told.centre / told.spread
    np.testing.assert_array_equal(steps, np.round(steps))


def test_the_scatter_is_how_users_own_vary_within_expressions_to_a_sixteenth() -> None:
    clips = made_up_clips(["Ada", "Ben"], per_expression=4)
    head = initial_head(dataclasses.replace(specification(), scatter=True), 1)
    told = reference_update(head, clips).arrays["reference.scatter"]
    total = np.zeros((5, 5))
    for user in ("Ada", "Ben"):
        own = clips.of_user(user)
        rows = clip_rows(head.specification, own).values
        units = 3 * np.tanh((rows - rows.mean(axis=0)) / rows.std(axis=0) / 3)
        for label in range(8):
            part = units[own.labels == label]
            total += len(part) * np.cov(part.T, bias=True)
    assert np.abs(told - total / len(clips)).max() <= 1 / 32 + 1e-6
    np.testing.assert_array_equal(told, told.T)
    np.testing.assert_array_equal(16 * told, np.round(16 * told))


def test_single_clips_of_expressions_tell_no_scatter() -> None:
    head = initial_head(dataclasses.replace(specification(), scatter=True), 1)
    told = reference_update(head, made_up_clips(per_expression=1)).arrays["reference.scatter"]
    np.testing.assert_array_equal(told, 0)


def test_a_reference_update_is_relative_to_what_was_received() -> None:
    clips, spec = made_up_clips(), specification()
    head = any_head(spec)
    from_zero = reference_update(initial_head(spec, 1), clips).arrays
    from_head = reference_update(head, clips).arrays
    for name, array in from_head.items():
        np.testing.assert_allclose(array + head.arrays[name], from_zero[name], atol=1e-6)


def test_each_user_is_standardised_by_the_own_clips_only() -> None:
    """Other users on the device, and their labels, change nothing of a user's inputs."""
    both = made_up_clips(["Ada", "Ben"])
    ada = both.of_user("Ada")
    rows = np.flatnonzero(np.array(both.users) == "Ada")
    head = any_head(specification("single-attention"))
    moved = both.frames.copy()
    moved[len(ada.frames) :] *= 50
    other = ClipSet(both.names, both.users, both.labels[::-1].copy(), moved, both.lengths)
    for branch in BRANCHES:
        alone = training_batches(head, ada)[branch]
        for clips in (both, other):
            mixed = training_batches(head, clips)[branch]
            torch.testing.assert_close(mixed.frames[rows], alone.frames, rtol=0, atol=0)
            assert torch.equal(mixed.mask[rows], alone.mask)


def test_users_whose_clips_stand_mixed_are_told_apart() -> None:
    both = made_up_clips(["Ada", "Ben"])
    order = np.random.default_rng(0).permutation(len(both))
    head = any_head(specification())
    sorted_ = training_batches(head, both)["user"].frames
    mixed = training_batches(head, both.select(order))["user"].frames
    torch.testing.assert_close(mixed, sorted_[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stage", [REFERENCE_STAGE, HEAD_STAGE])
@pytest.mark.parametrize("count", [0, 1, FEWEST_CLIPS - 1, FEWEST_CLIPS])
def test_a_device_with_few_clips_declines(tmp_path: Path, count: int, stage: str) -> None:
    folder = device(tmp_path, made_up_clips().select(range(count)), specification())
    update = answer(folder, request(specification(), stage), run=1)
    assert (update is None) == (count < FEWEST_CLIPS)


@pytest.mark.parametrize("stage", [REFERENCE_STAGE, HEAD_STAGE])
def test_a_held_out_device_declines(tmp_path: Path, stage: str) -> None:
    folder = device(tmp_path, made_up_clips(), specification(), held_out_of=("fold-2", "fold-1"))
    assert answer(folder, request(specification(), stage), run=1) is None
    assert answer(folder, request(specification(), stage, name="fold-2"), run=1) is None
    assert answer(folder, request(specification(), stage, name="fold-3"), run=1) is not None


def test_the_same_request_gets_the_same_bytes(tmp_path: Path) -> None:
    folder = device(tmp_path, made_up_clips(["Ada", "Ben"]), specification("self-attention"))
    asked = request(specification("self-attention"), HEAD_STAGE)
    one, other = answer(folder, asked, run=1), answer(folder, asked, run=2)
    assert one is not None
    assert other is not None
    assert one.payload == other.payload


def test_labels_only_reach_the_head_stage(tmp_path: Path) -> None:
    clips = made_up_clips()
    other = ClipSet(
        clips.names, clips.users, clips.labels[::-1].copy(), clips.frames, clips.lengths
    )
    head = any_head(specification())
    assert reference_update(head, clips).payload == reference_update(head, other).payload
    one, two = (head_update(head, which, TRAINING, round=1) for which in (clips, other))
    assert one.payload != two.payload
