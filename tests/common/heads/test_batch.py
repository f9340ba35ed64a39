"""Padding puts every frame in its place and zeros elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.common.heads.oracles import batch_of, random_clips


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(1, 4))
def test_frames_masks_and_zeros(lengths: list[int], dimension: int) -> None:
    clips = random_clips(lengths, dimension, np.random.default_rng(0))
    batch = batch_of(clips)
    assert len(batch) == len(lengths)
    assert batch.frames.shape == (len(lengths), max(lengths), dimension)
    assert batch.frames.dtype == torch.float64
    for index, clip in enumerate(clips):
        np.testing.assert_array_equal(batch.frames[index, : len(clip)].numpy(), clip)
        assert not batch.frames[index, len(clip) :].any()
        assert batch.mask[index].tolist() == [i < len(clip) for i in range(max(lengths))]


@pytest.mark.parametrize("chosen", [[], [0], [2, 0, 0]])
def test_selection(chosen: list[int]) -> None:
    batch = batch_of(random_clips([2, 1, 3], 2, np.random.default_rng(0)))
    part = batch.select(torch.tensor(chosen, dtype=torch.int64))
    assert len(part) == len(chosen)
    for position, index in enumerate(chosen):
        assert torch.equal(part.frames[position], batch.frames[index])
        assert torch.equal(part.mask[position], batch.mask[index])
