"""Rounds as sessions: updates into vectors, and their sum back into a mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE, HeadSpecification
from common.privacy.clipping import clip_update, norm_of
from common.secure_aggregation import rounds
from common.secure_aggregation.encoding import Vector, decode_sum, encode
from common.secure_aggregation.session import SecureSumRefused, Session
from common.settings import FederationPlan
from common.update import HeadUpdate
from tests.common.plans import sum_plan

SPECIFICATION = HeadSpecification(kind="logistic", dimension=3, features="made-up", scatter=True)
PLAN = sum_plan(rounds=1, learning_rate=0.1, l2=0.0, seed=0)
ROSTER = {number: bytes([number]) * 32 for number in range(1, 6)}


def session(plan: FederationPlan = PLAN, stage: str = HEAD_STAGE) -> Session:
    return rounds.session_for(
        plan,
        SPECIFICATION,
        stage=stage,
        round=int(stage == HEAD_STAGE),
        attempt=0,
        head="0" * 64,
        roster=ROSTER,
    )


def update(seed: int, *, stage: str = HEAD_STAGE, clips: int = 5, scale: float = 1.0) -> HeadUpdate:
    chooser = np.random.default_rng(seed)
    arrays = {
        name: (scale * chooser.normal(size=shape)).astype(np.float32)
        for name, shape in SPECIFICATION.shapes(stage).items()
    }
    number = int(stage == HEAD_STAGE)
    return HeadUpdate(
        specification=SPECIFICATION, stage=stage, round=number, clips=clips, arrays=arrays
    )


def summed(plan: FederationPlan, of: Session, updates: list[HeadUpdate]) -> Vector:
    """The slow way: every vector encoded, added modulo 2^32, decoded."""
    total = np.zeros(of.length, dtype=np.uint32)
    for each in updates:
        total += encode(of, rounds.vector_of(plan, of, each))
    return decode_sum(of, total)


@pytest.mark.parametrize(
    ("stage", "scale", "tolerance"),
    [(HEAD_STAGE, 1.0, 1e-4), (REFERENCE_STAGE, 1e-4, 1e-8), (REFERENCE_STAGE, 1e5, 1e-4)],
)
def test_the_sum_gives_the_mean_weighted_by_clips(
    stage: str, scale: float, tolerance: float
) -> None:
    """Raw features' figures keep their precision whatever their units are."""
    updates = [update(seed, stage=stage, clips=seed + 4, scale=scale) for seed in range(5)]
    of = session(stage=stage)
    found = rounds.read_sum(PLAN, of, SPECIFICATION, stage, summed(PLAN, of, updates), len(updates))
    clips = [each.clips for each in updates]
    assert found.clips == sum(clips)
    for name, array in found.arrays.items():
        expected = np.average([each.arrays[name] for each in updates], axis=0, weights=clips)
        np.testing.assert_allclose(array, expected, atol=tolerance)


def test_a_weight_is_bounded() -> None:
    """More clips than a weight can tell count as the most that it can."""
    few, many = update(1, clips=4), update(2, clips=5000)
    of = session()
    found = rounds.read_sum(PLAN, of, SPECIFICATION, HEAD_STAGE, summed(PLAN, of, [few, many]), 2)
    assert found.clips == 4 + rounds.MOST_WEIGHT


def test_clipped_updates_count_alike() -> None:
    plan = replace(PLAN, clip_norm=0.5)
    updates = [clip_update(update(seed, clips=4 + 9 * seed), 0.5) for seed in range(4)]
    of = session(plan)
    found = rounds.read_sum(plan, of, SPECIFICATION, HEAD_STAGE, summed(plan, of, updates), 4)
    for name, array in found.arrays.items():
        expected = np.mean([each.arrays[name] for each in updates], axis=0)
        np.testing.assert_allclose(array, expected, atol=1e-6)


def test_an_update_beyond_the_numbers_is_refused_not_cut_off() -> None:
    with pytest.raises(SecureSumRefused, match="an entry beyond 16"):
        rounds.vector_of(PLAN, session(), update(0, clips=4, scale=40.0))


def test_noise_is_in_the_vector_and_the_update_is_clipped() -> None:
    plan = replace(PLAN, clip_norm=0.25, noise_multiplier=4.0)
    of = session(plan)
    sharing = rounds.sharing_for(plan, of)
    assert sharing.guaranteed >= 4.0 * (1 - 1e-9)
    zero = replace(update(0), arrays={n: 0 * a for n, a in update(0).arrays.items()})
    vectors = [rounds.vector_of(plan, of, zero) for _ in range(200)]
    share = np.std(np.stack(vectors))
    expected = 4.0 * 0.25 / np.sqrt(of.threshold)
    assert share == pytest.approx(expected, rel=0.05)
    large = rounds.vector_of(replace(plan), of, update(1, scale=3.0))
    assert norm_of({"v": large}) < 0.25 + 8 * expected * np.sqrt(of.length)


def test_a_wrong_share_s_nonsense_is_no_sum() -> None:
    """Entries anywhere in the ring can't be what members may send together."""
    chooser = np.random.default_rng(0)
    noised = replace(PLAN, clip_norm=0.25, noise_multiplier=4.0)
    for plan in (PLAN, noised):
        of = session(plan)
        for _ in range(50):
            ring = chooser.integers(0, 2**32, size=of.length, dtype=np.uint64).astype(np.uint32)
            with pytest.raises(SecureSumRefused, match="share was wrong"):
                rounds.read_sum(plan, of, SPECIFICATION, HEAD_STAGE, decode_sum(of, ring), 5)


def test_smaller_sums_than_the_plan_allows_are_refused() -> None:
    with pytest.raises(SecureSumRefused, match=r"5 device\(s\) .* smallest-sum asks for 10"):
        session(replace(PLAN, smallest_sum=10))
    assert session(replace(PLAN, smallest_sum=5)).threshold == 5
    assert session().threshold == 4


def test_a_session_depends_on_plan_head_and_stage() -> None:
    digests = {
        session().digest,
        session(stage=REFERENCE_STAGE).digest,
        session(replace(PLAN, smallest_sum=5)).digest,
        session(replace(PLAN, clip_norm=1.0, noise_multiplier=1.0)).digest,
        session(replace(PLAN, name="other")).digest,
    }
    assert len(digests) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 1e-300},
        {"epochs": 2},
        {"l2": 0.5},
        {"clip_norm": 1e-9},
        {"seed": 1},
        {"strategy": "fedprox", "proximal_mu": 0.1},
    ],
)
def test_whoever_trains_by_another_plan_is_in_another_session(change: dict[str, Any]) -> None:
    """All but one asked for next to nothing: their sum would be the one's update."""
    assert session(replace(PLAN, **change)).digest != session().digest


def test_more_rounds_are_the_same_session() -> None:
    assert session(replace(PLAN, rounds=9)).digest == session().digest


def test_noise_and_norm_of_the_same_room_are_told_apart() -> None:
    one = replace(PLAN, clip_norm=0.25, noise_multiplier=4.0)
    assert session(one).digest != session(replace(one, noise_multiplier=3.0)).digest


def test_a_head_has_one_digest_however_its_zeros_are_written() -> None:
    arrays = {n: np.zeros(s, np.float32) for n, s in SPECIFICATION.all_shapes().items()}
    negative = {**arrays, "user.bias": -arrays["user.bias"]}
    found = rounds.digest_of_head(SPECIFICATION, arrays)
    assert rounds.digest_of_head(SPECIFICATION, negative) == found
    moved = {**arrays, "user.bias": arrays["user.bias"] + np.float32(1e-30)}
    assert rounds.digest_of_head(SPECIFICATION, moved) != found
    assert found == "a21087c0ea879c8d8b6764a6891c8630fd4a2bd12c140d2a2b47a02216b50b8f"
