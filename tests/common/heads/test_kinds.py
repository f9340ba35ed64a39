"""The contract that every kind of head keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.heads.batch import ClipBatch
from common.heads.kinds import (
    SMALLEST_SUM,
    descriptor,
    initial_parameters,
    logits,
    pools_first,
)
from common.heads.specification import KINDS
from common.heads.standardise import SQUASH_LIMIT
from common.randomness import generator
from tests.common.heads import oracles
from tests.common.heads.oracles import (
    CLASSES,
    batch_of,
    random_clips,
    random_values,
    specification_of,
    tensors,
)

pytestmark = pytest.mark.parametrize("kind", KINDS)
LITERAL = "self-attention-literal"
shapes = st.tuples(
    st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 5), st.integers(0, 2**32)
)


@settings(deadline=None, max_examples=40)
@given(shape=shapes)
def test_logits_are_the_papers_equations(kind: str, shape: tuple[list[int], int, int]) -> None:
    lengths, dimension, seed = shape
    random = np.random.default_rng(seed)
    values, clips = random_values(kind, dimension, random), random_clips(lengths, dimension, random)
    if kind == LITERAL:
        clips = [c for c in clips if abs(oracles.alpha_sum(values, c)) > 2 * SMALLEST_SUM]
    if not clips:
        return
    found = logits(kind, tensors(values), batch_of(clips))
    assert found.shape == (len(clips), CLASSES)
    assert found.dtype == torch.float64
    for row, clip in zip(found.numpy(), clips, strict=True):
        np.testing.assert_allclose(row, oracles.logits(kind, values, clip), rtol=1e-7, atol=1e-8)


@settings(deadline=None, max_examples=30)
@given(shape=shapes)
def test_a_descriptor_lies_within_its_clips_frames(
    kind: str, shape: tuple[list[int], int, int]
) -> None:
    lengths, dimension, seed = shape
    random = np.random.default_rng(seed)
    values, clips = random_values(kind, dimension, random), random_clips(lengths, dimension, random)
    found = descriptor(kind, tensors(values), batch_of(clips)).numpy()
    assert found.shape == (len(clips), dimension)
    for row, clip in zip(found, clips, strict=True):
        assert (row >= clip.min(axis=0) - 1e-9).all()
        assert (row <= clip.max(axis=0) + 1e-9).all()


@settings(deadline=None, max_examples=30)
@given(shape=shapes, more=st.integers(1, 5), junk=st.sampled_from([0.0, 1.0, -50.0, 1e3]))
def test_padding_never_changes_a_result(
    kind: str, shape: tuple[list[int], int, int], more: int, junk: float
) -> None:
    """Not even where something else than zeros stands behind the mask."""
    lengths, dimension, seed = shape
    random = np.random.default_rng(seed)
    parameters = tensors(random_values(kind, dimension, random))
    batch = batch_of(random_clips(lengths, dimension, random))
    count = len(lengths)
    padding = torch.full((count, more, dimension), junk, dtype=torch.float64)
    padded = ClipBatch(
        torch.cat([batch.frames, padding], dim=1),
        torch.cat([batch.mask, torch.zeros(count, more, dtype=torch.bool)], dim=1),
    )
    torch.testing.assert_close(
        logits(kind, parameters, padded), logits(kind, parameters, batch), rtol=1e-9, atol=1e-9
    )


@settings(deadline=None, max_examples=30)
@given(shape=shapes)
def test_a_clip_does_not_depend_on_its_company(
    kind: str, shape: tuple[list[int], int, int]
) -> None:
    """Alone, in any order, beside longer clips: the same logits."""
    lengths, dimension, seed = shape
    random = np.random.default_rng(seed)
    parameters = tensors(random_values(kind, dimension, random))
    clips = random_clips(lengths, dimension, random)
    together = logits(kind, parameters, batch_of(clips))
    order = random.permutation(len(clips))
    shuffled = logits(kind, parameters, batch_of([clips[i] for i in order]))
    torch.testing.assert_close(shuffled, together[torch.from_numpy(order)], rtol=1e-9, atol=1e-9)
    for index, clip in enumerate(clips):
        alone = logits(kind, parameters, batch_of([clip]))[0]
        torch.testing.assert_close(alone, together[index], rtol=1e-9, atol=1e-9)


def test_the_order_of_a_clips_frames_does_not_matter(kind: str) -> None:
    random = np.random.default_rng(4)
    parameters, (clip,) = tensors(random_values(kind, 4, random)), random_clips([7], 4, random)
    torch.testing.assert_close(
        logits(kind, parameters, batch_of([clip])),
        logits(kind, parameters, batch_of([clip[::-1]])),
    )


def test_a_clip_of_one_frame_is_its_own_descriptor(kind: str) -> None:
    random = np.random.default_rng(5)
    values, clips = random_values(kind, 4, random), random_clips([1, 1, 1], 4, random)
    found = descriptor(kind, tensors(values), batch_of(clips)).numpy()
    np.testing.assert_allclose(found, np.concatenate(clips), rtol=1e-12)


def test_equal_frames_are_their_own_descriptor(kind: str) -> None:
    random = np.random.default_rng(6)
    frame = random.normal(size=(1, 4))
    clips = [np.repeat(frame, length, axis=0) for length in (2, 9)]
    found = descriptor(kind, tensors(random_values(kind, 4, random)), batch_of(clips)).numpy()
    np.testing.assert_allclose(found, np.repeat(frame, 2, axis=0), rtol=1e-9)


def test_an_initial_head_gives_equal_probabilities(kind: str) -> None:
    specification = specification_of(kind, 4)
    parameters = initial_parameters(specification, generator(0, "test"))
    assert {n: tuple(v.shape) for n, v in parameters.items()} == specification.branch_shapes()
    batch = batch_of(random_clips([1, 5, 3], 4, np.random.default_rng(0)))
    shares = torch.softmax(logits(kind, parameters, batch), dim=1)
    assert torch.equal(shares, torch.full((3, CLASSES), 1 / CLASSES, dtype=torch.float64))


def test_initial_projections_are_glorot_uniform_and_differ_by_seed(kind: str) -> None:
    specification = specification_of(kind, 30)
    one, same, other = (
        initial_parameters(specification, generator(seed, "test")) for seed in (0, 0, 1)
    )
    for name, value in one.items():
        assert torch.equal(value, same[name])
        if name.endswith("projection"):
            limit = math.sqrt(6 / sum(value.shape))
            assert 0.8 * limit < value.abs().max() <= limit
            assert not torch.equal(value, other[name])
        else:
            assert not value.any()


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("height", [0.0, 1e-12, SQUASH_LIMIT])
def test_extreme_parameters_and_inputs_stay_finite(kind: str, scale: float, height: float) -> None:
    """Saturated gates must not end in 0 / 0; inputs are squashed, parameters are not."""
    random = np.random.default_rng(8)
    clips = [height * np.sign(clip) for clip in random_clips([1, 2, 5, 9] * 5, 6, random)]
    for sign in (1, -1):
        values = {n: sign * scale * v for n, v in random_values(kind, 6, random).items()}
        assert_finite(kind, values, clips)


def test_gates_that_are_all_shut_still_weigh_frames(kind: str) -> None:
    """sigmoid(-3000) is 0 in float64; the weights' ratios are not."""
    random = np.random.default_rng(9)
    values = random_values(kind, 2, random)
    for name in values:
        if name == "query":
            values[name] = np.full_like(values[name], -1000.0)
        elif name.endswith("projection"):
            values[name] = np.eye(2)
    clips = [np.array([[1.0, 2.0], [1.5, 1.5]]), np.array([[3.0, 3.0]])]
    assert_finite(kind, values, clips)
    if kind == "single-attention":
        found = descriptor(kind, tensors(values), batch_of(clips)).numpy()
        np.testing.assert_allclose(found, [[1.25, 1.75], [3.0, 3.0]])


@pytest.mark.parametrize("remainder", [0.0, 1e-300, 1e-12, -1e-12, 1e-4, -1e-4])
def test_cancelling_alphas_stay_finite(kind: str, remainder: float) -> None:
    """Equation 5 divides by a sum of mixed signs: here q_i k_i is +1 and -1 + remainder."""
    values = random_values(kind, 2, np.random.default_rng(10))
    for name in values:
        if name == "query_projection":
            values[name] = np.diag([1.0, -1.0])
        elif name == "key_projection":
            values[name] = np.eye(2)
        elif name == "query":
            values[name] = np.full_like(values[name], 5.0)
    clip = np.array([[1.0, 0.0], [0.0, math.sqrt(1 - remainder)], [0.0, 0.0]])
    assert_finite(kind, values, [clip, -clip, np.repeat(clip, 3, axis=0)])


def assert_finite(
    kind: str, values: dict[str, oracles.Vector], clips: list[oracles.Vector]
) -> None:
    """Logits and all gradients."""
    leaves = {name: value.requires_grad_(True) for name, value in tensors(values).items()}
    found = logits(kind, leaves, batch_of(clips))
    assert torch.isfinite(found).all()
    targets = torch.zeros(len(clips), dtype=torch.int64)
    torch.nn.functional.cross_entropy(found, targets).backward()
    for name, leaf in leaves.items():
        assert leaf.grad is not None, name
        assert torch.isfinite(leaf.grad).all(), name


def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    random = np.random.default_rng(11)
    values, batch = random_values(kind, 3, random), batch_of(random_clips([1, 4, 2], 3, random))
    parameters = tensors(values)
    names = list(parameters)

    def scalar(*leaves: torch.Tensor) -> torch.Tensor:
        return logits(kind, dict(zip(names, leaves, strict=True)), batch)

    leaves = [parameters[name].requires_grad_(True) for name in names]
    assert torch.autograd.gradcheck(scalar, leaves, rtol=1e-4, atol=1e-5)


def test_only_the_logistic_head_pools_first(kind: str) -> None:
    assert pools_first(kind) == (kind == "logistic")


def test_results_are_repeated_bit_by_bit(kind: str) -> None:
    random = np.random.default_rng(12)
    parameters = tensors(random_values(kind, 4, random))
    batch = batch_of(random_clips([3, 1, 6], 4, random))
    before = batch.frames.clone()
    assert torch.equal(logits(kind, parameters, batch), logits(kind, parameters, batch))
    assert torch.equal(batch.frames, before)
