"""Real vectors as numbers modulo 2^32, so that masked sums are exact.

Each entry is clipped to +-`clip`, divided by the session's step and rounded to the nearest whole
number; negative ones wrap around. The sum of n members is off by at most n times half a step per
entry, and by what was clipped.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.secure_aggregation.session import SecureSumRefused, Session

Ring = npt.NDArray[np.uint32]
Vector = npt.NDArray[np.float64]


def encode(session: Session, values: Vector) -> Ring:
    """A vector, (length,), in the ring.

    Raises:
        SecureSumRefused: another length, or an entry that is no finite number.
    """
    if values.shape != (session.length,) or not np.isfinite(values).all():
        raise SecureSumRefused(
            f"a vector for the secure sum has shape {values.shape} or is not finite; expected "
            f"({session.length},) finite numbers"
        )
    levels = np.rint(np.clip(values, -session.clip, session.clip) / session.step)
    return np.asarray(levels.astype(np.int64) & 0xFFFFFFFF, dtype=np.uint32)


def decode_sum(session: Session, total: Ring) -> Vector:
    """The sum of encoded vectors, (length,), as real numbers."""
    return np.asarray(total.view(np.int32).astype(np.float64) * session.step)
