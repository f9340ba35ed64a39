"""How long an update is."""

from __future__ import annotations

import numpy as np

from common.update import HeadUpdate


def norm(update: HeadUpdate) -> float:
    """Euclidean norm of an update over all of its arrays together, in float64."""
    squares = (np.square(array.astype(np.float64)).sum() for array in update.arrays.values())
    return float(np.sqrt(sum(squares)))
