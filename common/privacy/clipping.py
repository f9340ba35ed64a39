"""One device's influence on a sum, bounded: all arrays of an update as one vector of norm <= S.

What each odd case gives is part of the promise: a zero update stays zero, an empty array stays
empty, an array without dimensions counts as one entry; NaN, infinity and integers are refused,
since a bound on them would be none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from common.errors import UsageError, WorkError
from common.update import HeadUpdate

EQUAL_WEIGHT: Final = 1
"""Clips that a clipped update says it stands for: every device counts the same."""
_INWARDS: Final = 1.0 - 2.0**-22
"""Rounding to float32 may lengthen a vector by a part in 2^24."""

Floating = npt.NDArray[np.floating]


class NotClippable(WorkError):
    """Values that no norm bounds; the text names a rule, never a value."""


def clip_update(update: HeadUpdate, norm: float) -> HeadUpdate:
    """The update, shortened to `norm` where it is longer, with `EQUAL_WEIGHT` for its clips.

    The number of clips would be a second figure that the noise does not cover, and a weight above
    the others' would lift the bound.

    Raises:
        UsageError: `norm` is not a finite number above 0.
    """
    return replace(update, arrays=clip_arrays(update.arrays, norm), clips=EQUAL_WEIGHT)


def clip_arrays(arrays: Mapping[str, Floating], norm: float) -> dict[str, npt.NDArray[np.float32]]:
    """Float arrays of any shapes, float32, whose Euclidean norm together is at most `norm`.

    The bound holds for the float32 values that are returned, not only before rounding. Directions
    are kept; arrays within the bound keep their values.

    Raises:
        UsageError: `norm` is not a finite number above 0.
        NotClippable: an array is not of floats, or has NaN or infinity (also as float32).
    """
    check_norm(norm)
    for array in arrays.values():
        _check(array)
    length = norm_of(arrays)
    scale = 1.0 if length <= norm else norm / length * _INWARDS
    clipped = {name: _scaled(array, scale) for name, array in arrays.items()}
    if norm_of(clipped) > norm:  # within the bound before, beyond it by rounding
        clipped = {name: _scaled(array, _INWARDS) for name, array in clipped.items()}
    return clipped


def norm_of(arrays: Mapping[str, Floating]) -> float:
    """Euclidean norm of all entries together; 0 for none. No overflow, whatever their size."""
    flat = [np.abs(np.asarray(array, dtype=np.float64)).ravel() for array in arrays.values()]
    entries = np.concatenate([np.zeros(1), *flat])
    largest = float(entries.max())
    if largest == 0:
        return 0.0
    return largest * math.sqrt(float(np.square(entries / largest).sum()))


def check_norm(norm: float) -> None:
    """Refuse a clipping norm that bounds nothing.

    Raises:
        UsageError: it is not a finite number above 0.
    """
    if not (isinstance(norm, int | float) and math.isfinite(norm) and norm > 0):
        raise UsageError(f"clip-norm is {norm!r}, expected a finite number above 0")


def _check(array: Floating) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        raise NotClippable("an update with integers can't be clipped; make its arrays float32")
    if not np.isfinite(array).all() or np.abs(array).max(initial=0) > np.finfo(np.float32).max:
        raise NotClippable("an update that is not finite can't be clipped; nothing may be sent")


def _scaled(array: Floating, scale: float) -> npt.NDArray[np.float32]:
    return (np.asarray(array, dtype=np.float64) * scale).astype(np.float32)
