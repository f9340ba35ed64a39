"""A federation's round as a secure sum: which session it is, and updates as vectors in it.

Server and devices each derive the session from the plan, the head and the roster; that they derive
the same is what the session's digest proves.

Without noise a vector is the device's weight and its update times that weight, so that no number of
clips is told and the sum gives the weighted mean. Raw features' centres and spreads (round 0) have
no common range: they travel as two limbs, whole coarse steps and what is left of them. Under noise
every device counts alike and the vector is the clipped, noised update (`common.privacy.release`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from common.heads.digest import digest_of
from common.heads.specification import HEAD_STAGE, HeadSpecification
from common.privacy.noise import TAIL, Sharing, room_for
from common.privacy.release import flat, mean_of_sum, private_vector, sharing_of
from common.secure_aggregation.encoding import Vector
from common.secure_aggregation.session import (
    Roster,
    SecureSumRefused,
    Session,
    most_bits,
    safest,
)
from common.settings import FederationPlan
from common.update import HeadUpdate

MOST_WEIGHT: Final = 1024
"""Clips that a device counts for at the most: a weight has to be in a known range."""
HEAD_CLIP: Final = 16.0
"""Largest entry of a head's update; standardised inputs keep updates far below it."""
REFERENCE_CLIP: Final = 2.0**20
"""Largest entry of a reference's update, in the features' own units."""


_SLACK: Final = 1.0 + 1e-6


class SumOfRound(NamedTuple):
    """What a secure sum tells: the mean update by array, and the clips or members behind it."""

    arrays: dict[str, Vector]
    clips: int


def is_noised(plan: FederationPlan, stage: str) -> bool:
    """Whether devices noise what they send in this stage."""
    return plan.noise_multiplier > 0 and stage == HEAD_STAGE


def digest_of_head(
    specification: HeadSpecification, arrays: Mapping[str, npt.NDArray[np.floating]]
) -> str:
    """What a session and a ledger call "the head": `digest_of` the specification's arrays."""
    return digest_of({name: arrays[name] for name in specification.all_shapes()})


def terms_of(plan: FederationPlan) -> str:
    """SHA-256 of a plan but for its number of rounds, which may be raised between two of them."""
    told = json.loads(plan.to_json())
    del told["rounds"]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def session_for(
    plan: FederationPlan,
    specification: HeadSpecification,
    *,
    stage: str,
    round: int,
    attempt: int,
    head: str,
    roster: Roster,
) -> Session:
    """The session of one attempt at a round; the same on the server and on every device.

    Raises:
        UsageError: the roster is smaller than the plan allows, or too large.
    """
    members = len(roster)
    threshold = max(safest(members), plan.smallest_sum)
    if threshold > members:
        raise SecureSumRefused(
            f"{members} device(s) could take part in a secure sum, setting smallest-sum asks for "
            f"{plan.smallest_sum}; wait for more devices, or allow smaller sums"
        )
    return Session(
        federation=plan.name,
        stage=stage,
        round=round,
        attempt=attempt,
        terms=terms_of(plan),
        specification=specification.number,
        head=head,
        length=_length(plan, specification, stage),
        clip=_clip(plan, stage, threshold),
        bits=most_bits(members),
        threshold=threshold,
        roster=roster,
    )


def sharing_for(plan: FederationPlan, session: Session) -> Sharing:
    """How the members of a noised session share its noise."""
    return sharing_of(session, norm=plan.clip_norm, multiplier=plan.noise_multiplier)


def vector_of(plan: FederationPlan, session: Session, update: HeadUpdate) -> Vector:
    """What a member puts under its masks, (session.length,).

    Raises:
        SecureSumRefused: an entry is beyond what the session's numbers hold; nothing is cut off
            unseen.
        NotClippable, UsageError: see `private_vector`.
    """
    if is_noised(plan, update.stage):
        return private_vector(update, sharing_for(plan, session), session.clip)
    weight = 1.0 if plan.clip_norm else min(update.clips, MOST_WEIGHT) / MOST_WEIGHT
    plain = flat(update.specification, update.stage, update.arrays)
    values = weight * plain
    if np.abs(plain).max(initial=0.0) >= session.clip:
        raise SecureSumRefused(
            f"this device's update has an entry beyond {session.clip:g}, which the secure sum "
            "can't hold; it stays here"
        )
    told = [weight * session.clip]  # as many steps as there are, so that a clip's weight counts
    if update.stage == HEAD_STAGE:
        return np.concatenate([values, told])
    coarse = np.rint(values / session.step) * session.step
    return np.concatenate([coarse, (values - coarse) * _finer(session), told])


def read_sum(
    plan: FederationPlan,
    session: Session,
    specification: HeadSpecification,
    stage: str,
    total: Vector,
    members: int,
) -> SumOfRound:
    """Inverse of `vector_of` for the sum over `members`.

    Raises:
        SecureSumRefused: it can't be a sum of what members may send: a wrong share unmasks nothing.
    """
    whole = one_limb(plan, session, stage, total)
    if is_noised(plan, stage):
        _check_range(whole, _most_noised(sharing_for(plan, session), members))
        return SumOfRound(mean_of_sum(specification, stage, whole, members), members)
    weight = float(whole[-1])
    if not 0 < weight <= members * _SLACK:
        raise SecureSumRefused("the weights of a secure sum do not add up: a share was wrong")
    _check_range(whole[:-1], (weight + members * session.step) * session.clip * _SLACK)
    clips = members if plan.clip_norm else round(weight * MOST_WEIGHT)
    return SumOfRound(mean_of_sum(specification, stage, whole[:-1] / weight, 1), max(clips, 1))


def one_limb(plan: FederationPlan, session: Session, stage: str, total: Vector) -> Vector:
    """A sum as the stage's arrays one behind the other, and the weight behind them if it has one.

    Args:
        plan, session, stage: of the sum.
        total: (session.length,).
    """
    if is_noised(plan, stage):
        return total
    values, weight = total[:-1], total[-1:] / session.clip
    if stage != HEAD_STAGE:
        coarse, rest = np.split(values, 2)
        values = coarse + rest / _finer(session)
    return np.concatenate([values, weight])


def _check_range(values: Vector, most: float) -> None:
    if np.abs(values).max(initial=0.0) > most:
        raise SecureSumRefused("a secure sum is beyond what members may send: a share was wrong")


def _most_noised(sharing: Sharing, members: int) -> float:
    """No entry of a noised sum is larger, but for one in 10^30."""
    return (
        members * sharing.norm + TAIL * math.sqrt(members * sharing.share_variance) * sharing.step
    )


def _finer(session: Session) -> float:
    """By how much the rest of a coarse step is stretched: half a step becomes half of `clip`."""
    return session.clip / session.step


def _length(plan: FederationPlan, specification: HeadSpecification, stage: str) -> int:
    entries = sum(math.prod(shape) for shape in specification.shapes(stage).values())
    if is_noised(plan, stage):
        return entries
    return 1 + entries * (1 if stage == HEAD_STAGE else 2)


def _clip(plan: FederationPlan, stage: str, threshold: int) -> float:
    if is_noised(plan, stage):
        return room_for(plan.clip_norm, plan.noise_multiplier, threshold)
    return HEAD_CLIP if stage == HEAD_STAGE else REFERENCE_CLIP
