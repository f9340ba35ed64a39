"""An update on its way into a noised secure sum, and the sum's mean on its way out."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from common.errors import UsageError
from common.heads.specification import HeadSpecification
from common.privacy.clipping import clip_update
from common.privacy.discrete_gaussian import Bytes
from common.privacy.noise import Sharing, Vector, noised
from common.secure_aggregation.session import Session
from common.update import HeadUpdate


def sharing_of(session: Session, *, norm: float, multiplier: float, colluding: int = 0) -> Sharing:
    """How noise is shared in a session; its `clip` is to come from `room_for`.

    Raises:
        UsageError: the session's grid or threshold does not bear such noise.
    """
    return Sharing(
        norm=norm,
        multiplier=multiplier,
        step=session.step,
        stay=session.threshold,
        colluding=colluding,
    )


def private_vector(
    update: HeadUpdate, sharing: Sharing, clip: float, *, random: Bytes = os.urandom
) -> Vector:
    """What a member puts under its masks: the update clipped, on the grid, with its noise.

    Args:
        update: as it was trained.
        sharing: of the session.
        clip: the session's.
        random: the operating system's bytes; any others void the promise.

    Raises:
        UsageError, NotClippable: see `clip_update` and `noised`.
    """
    clipped = clip_update(update, sharing.norm)
    return noised(
        flat(update.specification, update.stage, clipped.arrays), sharing, clip, random=random
    )


def flat(
    specification: HeadSpecification, stage: str, arrays: Mapping[str, npt.NDArray[np.floating]]
) -> Vector:
    """A stage's arrays as one vector, (length,), in the specification's order."""
    return np.concatenate(
        [np.asarray(arrays[name], np.float64).ravel() for name in specification.shapes(stage)]
    )


def mean_of_sum(
    specification: HeadSpecification, stage: str, total: Vector, members: int
) -> dict[str, Vector]:
    """The mean update by array, of a sum over `members` who count the same.

    Raises:
        UsageError: a vector of another length, or no members.
    """
    shapes = specification.shapes(stage)
    sizes = [math.prod(shape) for shape in shapes.values()]
    if total.shape != (sum(sizes),) or members < 1:
        raise UsageError(
            f"a sum of {members} member(s) has shape {total.shape}, expected ({sum(sizes)},)"
        )
    parts = np.split(total / members, np.cumsum(sizes)[:-1])
    return {
        name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
