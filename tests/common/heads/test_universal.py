"""The universal head: pooling, standardisation by user, and the mix of its branches."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from common.clips import ClipSet, make_clip_set
from common.heads.kinds import logits
from common.heads.specification import BRANCHES, KINDS, HeadSpecification
from common.heads.standardise import (
    population_inputs,
    power,
    to_units,
    user_inputs,
    user_statistics,
)
from common.heads.universal import (
    UniversalHead,
    branch_batch,
    clip_rows,
    initial_head,
    inputs_of,
    statistics_by_user,
    statistics_of,
    universal_logits,
    user_descriptors,
)

DIMENSION = 3


def specification_of(kind: str, pooling: str = "max") -> HeadSpecification:
    return HeadSpecification(
        kind=kind, dimension=DIMENSION, features="t", classes=4, pooling=pooling, key_dimension=2
    )


def clips_of(users: str, *, frames: int = 5, seed: int = 0) -> ClipSet:
    """A clip per letter, the letter being its user, of 1 to `frames` frames."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, frames + 1, size=len(users))
    place = {user: 3 * random.normal(size=DIMENSION) for user in sorted(set(users))}
    features = [
        place[user] + random.normal(size=(length, DIMENSION))
        for user, length in zip(users, lengths, strict=True)
    ]
    names = [f"clip {index}" for index in range(len(users))]
    return make_clip_set(names, users, [i % 4 for i in range(len(users))], features)


def random_head(kind: str, seed: int = 0, pooling: str = "max") -> UniversalHead:
    random = np.random.default_rng(seed)
    specification = specification_of(kind, pooling)
    arrays = {
        name: np.abs(random.normal(size=shape)).astype(np.float32)
        if name == "reference.spread"
        else random.normal(size=shape).astype(np.float32)
        for name, shape in specification.all_shapes().items()
    }
    return UniversalHead(specification, arrays)


@pytest.mark.parametrize("kind", KINDS)
def test_an_initial_head_is_a_function_of_its_seed(kind: str) -> None:
    specification = specification_of(kind)
    one, same, other = (initial_head(specification, seed) for seed in (0, 0, 1))
    assert list(one.arrays) == list(specification.all_shapes())
    for name, array in one.arrays.items():
        assert array.dtype == np.float32
        assert array.shape == specification.all_shapes()[name]
        assert np.array_equal(array, same.arrays[name])
        drawn = name.endswith("projection")
        assert array.any() == drawn
        assert np.array_equal(array, other.arrays[name]) != drawn


@pytest.mark.parametrize("kind", ["self-attention", "self-attention-literal"])
def test_the_branches_start_differently(kind: str) -> None:
    arrays = initial_head(specification_of(kind), 0).arrays
    one, two = (arrays[f"{branch}.key_projection"] for branch in BRANCHES)
    assert not np.array_equal(one, two)


def test_a_branch_owns_its_memory() -> None:
    head = random_head("logistic")
    before = head.arrays["user.weight"].copy()
    head.branch("user")["weight"].zero_()
    assert np.array_equal(head.arrays["user.weight"], before)


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("frames", [1, 5])
def test_logistic_rows_are_pooled_clips(pooling: str, frames: int) -> None:
    clips = clips_of("abcab", frames=frames)
    rows = clip_rows(specification_of("logistic", pooling), clips)
    assert rows.lengths.tolist() == [1] * 5
    assert rows.owners == tuple("abcab")
    for index in range(5):
        clip = clips.clip(index).astype(np.float64)
        pooled = clip.max(axis=0) if pooling == "max" else clip.mean(axis=0)
        np.testing.assert_allclose(rows.values[index], power(pooled), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_attention_rows_are_frames(kind: str) -> None:
    clips = clips_of("abcab")
    rows = clip_rows(specification_of(kind), clips)
    np.testing.assert_array_equal(rows.values, power(clips.frames))
    assert rows.lengths.tolist() == clips.lengths.tolist()
    own = np.concatenate([clips.clip(1), clips.clip(4)])
    np.testing.assert_array_equal(rows.of_user("b"), power(own))


@pytest.mark.parametrize("kind", KINDS)
def test_every_user_is_standardised_by_the_own_statistics(kind: str) -> None:
    head, clips = random_head(kind), clips_of("abcabba")
    rows = clip_rows(head.specification, clips)
    found = statistics_by_user(head, rows)
    assert sorted(found) == ["a", "b", "c"]
    for user, statistics in found.items():
        expected = statistics_of(head, clips.of_user(user))
        np.testing.assert_allclose(statistics.mean, expected.mean)
        np.testing.assert_allclose(statistics.spread, expected.spread)
        assert statistics.trust == pytest.approx(expected.trust)
        units = to_units(rows.of_user(user), head.reference)
        by_hand = user_statistics(units, "abcabba".count(user))
        assert statistics.trust == pytest.approx(by_hand.trust)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("branch", BRANCHES)
def test_a_mixed_batch_holds_each_clip_as_its_owner_would(kind: str, branch: str) -> None:
    head, clips = random_head(kind), clips_of("abcabba")
    rows = clip_rows(head.specification, clips)
    statistics = statistics_by_user(head, rows)
    together = branch_batch(head, rows, branch, statistics)
    for index, user in enumerate("abcabba"):
        alone = clip_rows(head.specification, clips.select([index]))
        units = to_units(alone.values, head.reference)
        expected = (
            population_inputs(units)
            if branch == "population"
            else user_inputs(units, statistics[user])
        )
        found = together.frames[index][together.mask[index]]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_do_not_enter_the_statistics(kind: str) -> None:
    head, clips = random_head(kind), clips_of("aaaa")
    other = dataclasses.replace(clips, labels=clips.labels[::-1].copy())
    one, two = statistics_of(head, clips), statistics_of(head, other)
    assert np.array_equal(one.mean, two.mean)
    assert one.trust == two.trust


@pytest.mark.parametrize("kind", KINDS)
def test_no_clips_give_no_trust(kind: str) -> None:
    head, clips = random_head(kind), clips_of("aaaa")
    assert statistics_of(head, clips.select([])).trust == 0


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_mixed_by_trust(kind: str) -> None:
    head, clips = random_head(kind), clips_of("aaaaa")
    inputs = inputs_of(head, clips, statistics_of(head, clips))
    population = logits(kind, head.branch("population"), inputs.population)
    user = logits(kind, head.branch("user"), inputs.user)
    assert torch.equal(universal_logits(head, inputs, 0.0), population)
    assert torch.equal(universal_logits(head, inputs, 1.0), user)
    torch.testing.assert_close(
        universal_logits(head, inputs, 0.25), 0.75 * population + 0.25 * user
    )
    assert not torch.allclose(population, user)


@pytest.mark.parametrize("kind", KINDS)
def test_descriptors_of_the_user_branch(kind: str) -> None:
    head, clips = random_head(kind), clips_of("aaa")
    inputs = inputs_of(head, clips, statistics_of(head, clips))
    found = user_descriptors(head, inputs.user)
    branch = head.branch("user")
    assert found.shape == (3, DIMENSION)
    torch.testing.assert_close(
        found @ branch["weight"].T + branch["bias"], logits(kind, branch, inputs.user)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 1e30, -1e30])
def test_broken_frames_stay_bounded(kind: str, value: float) -> None:
    clips = clips_of("aaaaa")
    frames = clips.frames.copy()
    frames[0] = value
    broken = dataclasses.replace(clips, frames=frames)
    head = random_head(kind)
    statistics = statistics_of(head, broken)
    assert 0 <= statistics.trust <= 1
    found = universal_logits(head, inputs_of(head, broken, statistics), statistics.trust)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_before_round_0_answers_with_equal_shares(kind: str) -> None:
    head, clips = initial_head(specification_of(kind), 0), clips_of("aaaaa")
    statistics = statistics_of(head, clips)
    found = universal_logits(head, inputs_of(head, clips, statistics), statistics.trust)
    assert torch.equal(found, torch.zeros(5, 4, dtype=torch.float64))
