"""What of a round's replies the server combines under noise, and what the rounds cost together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from common.errors import WorkError
from common.heads.specification import HEAD_STAGE
from common.messages import Request
from common.privacy.accountant import (
    NO_NOISE,
    NoisyRelease,
    PrivacyState,
    after_round,
    record,
    voided,
)
from common.privacy.clipping import NotClippable, clip_arrays, norm_of
from common.privacy.noise import Sharing, Vector, noised_sum, on_grid
from common.privacy.plan import DEFAULT_DELTA
from common.privacy.release import flat, mean_of_sum
from common.update import HeadUpdate
from server.aggregation import Collected
from server.strategies.mean import WeightedMean

if TYPE_CHECKING:
    from server.federation import Replies

GRID_BITS: Final = 24
"""Steps of the clip norm, as a power of two, where the server adds the noise."""
_ROUNDING: Final = 1.0 + 1e-6
"""Other processors add up squares in another order, and shorten to float32."""


def norm_before_noise(request: Request) -> float:
    """S, to which devices shorten their updates if the server puts noise on their sum; else 0.

    The promise then needs that one device's update decides on no other's, nor on its weight: each
    is judged by itself alone (`server.defence.Question.norm`). A device that keeps to S is always
    counted, whatever it holds, so that the number of updates, by which the sum is divided, tells
    who took part and nothing else; that is not what is promised to be hidden.
    """
    plan = request.plan
    noised = plan.noise_multiplier > 0 and request.stage == HEAD_STAGE
    return plan.clip_norm if noised and not plan.secure_sum else 0.0


def combined(request: Request, replies: Replies) -> tuple[Collected, float]:
    """What is averaged, and the multiplier of its noise: 0 where it has none.

    Members of a secure sum brought their noise with them. Else the server, whom the devices then
    have to trust with it, adds all of it here, before anything else is made of the updates.

    Raises:
        WorkError: the noise that was promised is missing.
    """
    plan = request.plan
    if plan.noise_multiplier == 0 or request.stage != HEAD_STAGE or not replies.devices:
        return replies.collected, 0.0
    if replies.mean is not None:
        if replies.noise < plan.noise_multiplier * (1 - 1e-9):
            raise WorkError("the secure sum has less noise than the plan promises; nothing is kept")
        return replies.mean, replies.noise
    return _noised_mean(request, replies.updates)


def _noised_mean(request: Request, updates: Iterable[HeadUpdate]) -> tuple[WeightedMean, float]:
    plan, specification = request.plan, request.head.specification
    step = plan.clip_norm / 2**GRID_BITS
    sharing = Sharing(norm=plan.clip_norm, multiplier=plan.noise_multiplier, step=step, stay=1)
    try:
        vectors = [_shortened(request, each) for each in updates]
        levels = np.sum([on_grid(each, sharing) for each in vectors], axis=0)
    except NotClippable as error:
        raise WorkError(f"a device did not clip its update: {error}") from error
    mean = WeightedMean(
        specification=specification,
        stage=request.stage,
        round=request.round,
        devices=len(vectors),
        clips=len(vectors),
        arrays=mean_of_sum(specification, request.stage, noised_sum(levels, sharing), len(vectors)),
    )
    return mean, sharing.guaranteed


def _shortened(request: Request, update: HeadUpdate) -> Vector:
    """One update, surely within the norm that the noise is for."""
    norm = request.plan.clip_norm
    if norm_of(update.arrays) > norm * _ROUNDING:
        raise NotClippable("it is longer than the clip norm")
    return flat(request.head.specification, request.stage, clip_arrays(update.arrays, norm))


def privacy_record(
    rounds: Iterable[Mapping[str, Any]], delta: float = DEFAULT_DELTA
) -> dict[str, Any]:
    """The accountant's state after rounds, for a run's record.

    Args:
        rounds: records of all rounds, each with `noise`, its multiplier, and how many devices'
            updates came: `clients` or `accepted`. A round without any released nothing.
        delta: at which epsilon is told.
    """
    state = PrivacyState()
    for each in rounds:
        if not each.get("clients", each.get("accepted", 1)):
            continue
        noise = float(each["noise"])
        release = NoisyRelease(multiplier=noise) if noise else None
        state = voided(state, NO_NOISE) if release is None else after_round(state, release)
    return record(state, delta)
