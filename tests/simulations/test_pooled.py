"""The pooled head is the optimum of the federation's objective."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from client.training import reference_update, training_batches
from common.clips import ClipSet
from common.heads.specification import BRANCHES, KINDS, HeadSpecification
from common.heads.standardise import exact_reference
from common.heads.training import objective
from common.heads.universal import UniversalHead, clip_rows, initial_head
from simulations.pooled import pooled_head
from tests.simulations.people import DIMENSION, clips_named, ravdess_names


def specification_of(kind: str = "logistic") -> HeadSpecification:
    return HeadSpecification(kind=kind, dimension=DIMENSION, features="t", key_dimension=2)


def people(seed: int = 0) -> ClipSet:
    return clips_named(ravdess_names([1, 2, 3, 4]), seed=seed)


def largest_gradient(head: UniversalHead, clips: ClipSet, l2: float) -> float:
    found = []
    for branch, batch in training_batches(head, clips).items():
        leaves = {name: v.requires_grad_(True) for name, v in head.branch(branch).items()}
        kind = head.specification.kind
        objective(kind, leaves, batch, torch.from_numpy(clips.labels), l2).backward()
        found += [float(v.grad.abs().max()) for v in leaves.values() if v.grad is not None]
    return max(found)


@pytest.mark.parametrize("l2", [0.03, 0.003])
def test_the_gradient_is_near_zero_at_the_solution(l2: float) -> None:
    head = pooled_head(specification_of(), people(), l2=l2, seed=0)
    assert largest_gradient(head, people(), l2) < 1e-5
    start = UniversalHead(
        head.specification,
        {**initial_head(head.specification, 0).arrays, **references(head)},
    )
    assert largest_gradient(start, people(), l2) > 0.05


def references(head: UniversalHead) -> dict[str, np.ndarray]:
    return {name: a for name, a in head.arrays.items() if name.startswith("reference")}


def test_the_reference_is_the_exact_one() -> None:
    head, clips = pooled_head(specification_of(), people(), l2=0.01, seed=0), people()
    rows = clip_rows(head.specification, clips)
    exact = exact_reference([rows.of_user(user) for user in clips.user_names()])
    np.testing.assert_allclose(head.reference.centre, exact.centre, rtol=1e-6)
    np.testing.assert_allclose(head.reference.spread, exact.spread, rtol=1e-6)


def test_the_scatter_is_near_what_devices_tell_together() -> None:
    clips = people()
    specification = dataclasses.replace(specification_of(), scatter=True)
    head = pooled_head(specification, clips, l2=0.01, seed=0)
    told = [
        reference_update(initial_head(specification, 0), clips.of_user(user))
        for user in clips.user_names()
    ]
    scatters = [update.arrays["reference.scatter"] for update in told]
    mean = np.average(scatters, axis=0, weights=[update.clips for update in told])
    assert head.scatter is not None
    assert np.abs(head.scatter - mean).max() <= 1 / 32 + 1e-6
    assert np.abs(head.scatter).max() > 0.1
    assert pooled_head(specification_of(), clips, l2=0.01, seed=0).scatter is None


def test_a_warm_start_ends_at_the_same_head() -> None:
    cold = pooled_head(specification_of(), people(), l2=0.01, seed=0)
    before = pooled_head(specification_of(), people(), l2=0.1, seed=0)
    kept = {name: array.copy() for name, array in before.arrays.items()}
    warm = pooled_head(specification_of(), people(), l2=0.01, seed=0, warm=before)
    for name, array in cold.arrays.items():
        np.testing.assert_allclose(warm.arrays[name], array, atol=2e-4)
        assert np.array_equal(before.arrays[name], kept[name])
    assert not np.allclose(before.arrays["user.weight"], cold.arrays["user.weight"], atol=1e-2)


def test_a_warm_start_from_other_people_takes_over_nothing_of_them() -> None:
    other = pooled_head(specification_of(), people(seed=1), l2=0.01, seed=0)
    cold = pooled_head(specification_of(), people(), l2=0.01, seed=0)
    warm = pooled_head(specification_of(), people(), l2=0.01, seed=0, warm=other)
    for name, array in cold.arrays.items():
        np.testing.assert_allclose(warm.arrays[name], array, atol=2e-4)


def test_neither_seed_nor_order_of_clips_moves_a_convex_optimum() -> None:
    clips = people()
    turned = clips.select(range(len(clips))[::-1])
    one = pooled_head(specification_of(), clips, l2=0.01, seed=0)
    two = pooled_head(specification_of(), turned, l2=0.01, seed=9)
    for name, array in one.arrays.items():
        np.testing.assert_allclose(two.arrays[name], array, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_pooled(kind: str) -> None:
    clips = people()
    head = pooled_head(specification_of(kind), clips, l2=0.01, seed=0)
    assert list(head.arrays) == list(head.specification.all_shapes())
    batches = training_batches(head, clips)
    labels = torch.from_numpy(clips.labels)
    for branch in BRANCHES:
        found = objective(kind, head.branch(branch), batches[branch], labels, 0.01)
        assert float(found) < 0.75 * np.log(8)
    assert all(array.dtype == np.float32 for array in head.arrays.values())
    assert all(np.isfinite(array).all() for array in head.arrays.values())
