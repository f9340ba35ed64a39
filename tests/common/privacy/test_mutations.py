"""Faults planted in the building blocks, each of which a check on what is sent must catch.

The checks look at what a server sees alone. Each is first tried on sound parts, where it must stay
silent, then on the fault.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from client.secure_aggregation.member import Member
from common.privacy import noise as noise_module
from common.privacy.accountant import NoisyRelease, PrivacyState, compose, epsilon
from common.privacy.noise import Sharing, noised, on_grid, room_for
from common.secure_aggregation import masks
from common.secure_aggregation.encoding import Ring, encode
from common.secure_aggregation.session import Session
from tests.common.secure_aggregation.parties import identities, session_of

LENGTH = 4096
BINS = 64
SILENT = 1e-9
"""A check is silent above this probability; a sound part trips it once in 10^9 runs."""


def uniform_chance(words: Ring) -> float:
    """How likely a uniform vector is to have as uneven top bits as this one (chi-square)."""
    counts = np.bincount((words >> np.uint32(26)).astype(np.int64), minlength=BINS)
    expected = len(words) / BINS
    return float(chi2.sf(np.square(counts - expected).sum() / expected, BINS - 1))


def noise_chance(noise: np.ndarray, deviation: float) -> float:
    """How likely noise of this deviation is to be as weak as this (chi-square, one-sided)."""
    return float(chi2.cdf(np.square(noise / deviation).sum(), len(noise)))


def masked(session: Session, vectors: Mapping[int, np.ndarray], members: Any = None) -> list[Ring]:
    """What the server gets of all members at step 3."""
    members = members or {n: Member(session, n, key) for n, key in keys_of(session).items()}
    keys = [member.advertise() for member in members.values()]
    sent = [shares for member in members.values() for shares in member.share(keys)]
    return [
        member.mask([each for each in sent if each.receiver == number], vectors[number])
        for number, member in members.items()
    ]


def keys_of(session: Session) -> Any:
    return identities(len(session.roster))


def small_vectors(session: Session, seed: int) -> dict[int, np.ndarray]:
    """What updates look like: far from filling the ring."""
    random = np.random.default_rng(seed)
    return {n: 0.01 * random.normal(size=session.length) for n in session.roster}


@given(seed=st.integers(0, 1000), members=st.integers(3, 6))
@settings(max_examples=10, deadline=None)
def test_sound_masks_show_nothing(seed: int, members: int) -> None:
    """Every vector, and every difference and sum of two, of one round or of two, is uniform."""
    first, second = (session_of(members, length=LENGTH, round=number) for number in (1, 2))
    seen = masked(first, small_vectors(first, seed)) + masked(second, small_vectors(first, seed))
    assert all(uniform_chance(vector) > SILENT for vector in seen)
    for number, one in enumerate(seen):
        for other in seen[:number]:
            assert uniform_chance(one - other) > SILENT


@given(seed=st.integers(0, 1000), which=st.integers(0, 3))
@settings(max_examples=10, deadline=None)
def test_an_unmasked_update_is_seen(seed: int, which: int) -> None:
    session = session_of(4, length=LENGTH)
    vectors = small_vectors(session, seed)
    seen = masked(session, vectors)
    seen[which] = encode(session, vectors[which + 1])
    caught = [number for number, vector in enumerate(seen) if uniform_chance(vector) < SILENT]
    assert caught == [which]


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_masks_that_cancel_half_way_are_seen(seed: int) -> None:
    """Only the own mask is left out: the pairs' masks hide it still, but not in the sum."""
    session = session_of(4, length=LENGTH)
    original = masks.stream

    def without_own(session: Session, secret: bytes, purpose: bytes) -> Ring:
        sound = original(session, secret, purpose)
        return sound if purpose == masks.PAIR else np.zeros_like(sound)

    vectors = small_vectors(session, seed)
    sound = sum_of(masked(session, vectors))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "stream", without_own)
        faulty = sum_of(masked(session, vectors))
    assert uniform_chance(sound) > SILENT
    assert uniform_chance(faulty) < SILENT


def sum_of(vectors: Sequence[Ring]) -> Ring:
    total = np.zeros_like(vectors[0])
    for vector in vectors:
        total += vector
    return total


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_a_reused_mask_is_seen_in_the_difference_of_two_rounds(seed: int) -> None:
    """Keys that outlive a round and do not name it: the difference is that of two updates."""
    first, second = (session_of(3, length=LENGTH, round=number) for number in (1, 2))
    fresh = {n: Member(first, n, key) for n, key in keys_of(first).items()}
    again = {
        n: Member(second, n, m.identity, _sealing=m._sealing, _masking=m._masking)
        for n, m in fresh.items()
    }
    for number, member in again.items():
        member._own_seed = fresh[number]._own_seed

    def one_key_for_all(session: Session, secret: bytes, purpose: bytes) -> bytes:
        return sound(replace(session, round=0), secret, purpose)

    sound = masks.derived
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "derived", one_key_for_all)
        before = masked(first, small_vectors(first, seed), fresh)
        after = masked(second, small_vectors(second, seed + 1), again)
    assert all(uniform_chance(vector) > SILENT for vector in (*before, *after))
    for one, other in zip(before, after, strict=True):
        assert uniform_chance(one - other) < SILENT


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_even_a_member_who_keeps_all_its_secrets_is_saved_by_the_session(seed: int) -> None:
    """The fault above without its second half: the round's name in every key is enough."""
    first, second = (session_of(3, length=LENGTH, round=number) for number in (1, 2))
    fresh = {n: Member(first, n, key) for n, key in keys_of(first).items()}
    again = {
        n: Member(second, n, m.identity, _sealing=m._sealing, _masking=m._masking)
        for n, m in fresh.items()
    }
    before = masked(first, small_vectors(first, seed), fresh)
    after = masked(second, small_vectors(second, seed), again)
    for one, other in zip(before, after, strict=True):
        assert uniform_chance(one - other) > SILENT


MEMBERS, NORM, MULTIPLIER = 6, 0.3, 2.0


def noise_of_a_sum(seed: int) -> tuple[np.ndarray, Sharing]:
    """Noise on the sum of the fewest who may stay: what is left of it when the sum is taken off."""
    clip = room_for(NORM, MULTIPLIER, session_of(MEMBERS).threshold)
    session = session_of(MEMBERS, length=LENGTH, clip=clip)
    sharing = Sharing(norm=NORM, multiplier=MULTIPLIER, step=session.step, stay=session.threshold)
    vectors = list(small_vectors(session, seed).values())[: session.threshold]
    shortened = [vector * min(1.0, 0.99 * NORM / np.linalg.norm(vector)) for vector in vectors]
    total = sum(noised(vector, sharing, session.clip) for vector in shortened)
    return total - sum(on_grid(vector, sharing) * sharing.step for vector in shortened), sharing


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_noise_is_what_the_accountant_counts(seed: int) -> None:
    noise, sharing = noise_of_a_sum(seed)
    assert noise_chance(noise, sharing.guaranteed * NORM) > SILENT
    assert abs(noise.mean()) < 7 * MULTIPLIER * NORM / math.sqrt(LENGTH)


@pytest.mark.parametrize("share", [0.25, 0.7])
def test_weaker_noise_is_seen(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Half the noise is a quarter of the variance."""
    sound = noise_module.discrete_gaussian
    monkeypatch.setattr(
        noise_module,
        "discrete_gaussian",
        lambda variance, count, random: sound(int(share * variance), count, random),
    )
    noise, sharing = noise_of_a_sum(0)
    assert noise_chance(noise, sharing.guaranteed * NORM) < SILENT


def test_one_share_left_out_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the counted members adds nothing."""
    sound = noise_module.discrete_gaussian
    calls = iter(range(100))
    monkeypatch.setattr(
        noise_module,
        "discrete_gaussian",
        lambda variance, count, random: (
            sound(variance, count, random) if next(calls) else np.zeros(count, dtype=np.int64)
        ),
    )
    noise, sharing = noise_of_a_sum(0)
    assert noise_chance(noise, sharing.guaranteed * NORM) < SILENT


def test_the_same_noise_in_every_round_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded noise: the difference of two rounds has none; sound rounds' has twice the variance."""
    one, _ = noise_of_a_sum(0)
    other, sharing = noise_of_a_sum(0)
    deviation = math.sqrt(2) * sharing.guaranteed * NORM
    assert noise_chance(one - other, deviation) > SILENT
    sound = noise_module.discrete_gaussian
    monkeypatch.setattr(
        noise_module,
        "discrete_gaussian",
        lambda variance, count, random: sound(variance, count, np.random.default_rng(1).bytes),
    )
    assert noise_chance(noise_of_a_sum(0)[0] - noise_of_a_sum(0)[0], deviation) < SILENT


def test_half_the_noise_is_another_promise() -> None:
    """What a fault of two costs: 8 becomes 20."""
    stated = compose(PrivacyState(), NoisyRelease(multiplier=2.68), 20)
    true = compose(PrivacyState(), NoisyRelease(multiplier=1.34), 20)
    assert epsilon(stated, 1e-5) == pytest.approx(8.02, abs=0.01)
    assert epsilon(true, 1e-5) > 19
