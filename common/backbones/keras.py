"""What networks trained in Keras have in common."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

EPSILON: Final = 1e-3
"""Added to the variance by Keras's batch normalisation."""

BN_PARTS: Final = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
"""torch's name of a batch normalisation's part to Keras's."""


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after by TensorFlow's "same" rule.

    The output has ceil(length / stride) positions; an odd total puts the extra one after.

    >>> same_padding(60, 3, 2), same_padding(15, 3, 2)
    ((0, 1), (1, 1))
    """
    outputs = -(-length // stride)
    total = max(0, (outputs - 1) * stride + kernel - length)
    return total // 2, total - total // 2


def torch_layout(
    kernel: npt.NDArray[np.float32], *, depthwise: bool = False
) -> npt.NDArray[np.float32]:
    """Kernels to (out, in per group, height, width) from Keras's (height, width, in, out).

    A depthwise kernel is (height, width, channels, 1) there: its channels are the outputs.
    """
    axes = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
    return np.ascontiguousarray(kernel.transpose(axes))
