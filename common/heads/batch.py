"""Ragged clips as one padded tensor with a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class ClipBatch:
    """Clips padded to the longest.

    Attributes:
        frames: (clips, frames, dimension) float64, zeros where padded.
        mask: (clips, frames) bool, true where there is a frame; every clip has at least one.
    """

    frames: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    def select(self, indices: Tensor) -> ClipBatch:
        """The clips at `indices`, (chosen,) int64."""
        return ClipBatch(self.frames[indices], self.mask[indices])


def pad_clips(rows: npt.NDArray[np.float64], lengths: npt.NDArray[np.int64]) -> ClipBatch:
    """Pad clips that stand one after the other in `rows`.

    Args:
        rows: (all frames, dimension).
        lengths: (clips,) frames of each clip, at least one clip, each at least 1.
    """
    count, longest = len(lengths), int(lengths.max())
    if longest == 1:
        frames = torch.from_numpy(np.ascontiguousarray(rows))[:, None, :]
        return ClipBatch(frames, torch.ones(count, 1, dtype=torch.bool))
    mask = torch.arange(longest)[None, :] < torch.from_numpy(lengths)[:, None]
    frames = torch.zeros(count, longest, rows.shape[1], dtype=torch.float64)
    frames[mask] = torch.from_numpy(np.ascontiguousarray(rows))
    return ClipBatch(frames, mask)
