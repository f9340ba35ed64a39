"""Noise under a secure sum's masks: how much there is in the end, and that nothing else changes."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from common.errors import UsageError
from common.privacy.clipping import NotClippable
from common.privacy.noise import (
    ROUNDING_VARIANCE,
    Sharing,
    TooLittleRoom,
    noised,
    noised_sum,
    on_grid,
    room_for,
)
from common.secure_aggregation.session import Session
from tests.common.secure_aggregation.parties import secure_sum, session_of

NORM, MULTIPLIER, LENGTH = 0.3, 2.0, 3000


def noisy_session(members: int, colluding: int = 0) -> tuple[Session, Sharing]:
    """A session whose grid has room for noise, and how the noise is shared in it."""
    threshold = session_of(members).threshold
    clip = room_for(NORM, MULTIPLIER, threshold, colluding)
    session = session_of(members, length=LENGTH, clip=clip)
    sharing = Sharing(
        norm=NORM,
        multiplier=MULTIPLIER,
        step=session.step,
        stay=session.threshold,
        colluding=colluding,
    )
    return session, sharing


@pytest.mark.parametrize("leaving", [0, 3])
def test_the_sum_is_the_members_and_noise_of_those_who_stay(leaving: int) -> None:
    """9 members, of whom at least 7 stay; the noise of those who are there, not more or less."""
    session, sharing = noisy_session(9, colluding=2)
    random = np.random.default_rng(0)
    plain = {n: random.normal(size=LENGTH) for n in session.roster}
    plain = {n: 0.99 * NORM * vector / np.linalg.norm(vector) for n, vector in plain.items()}
    sent = {n: noised(vector, sharing, session.clip) for n, vector in plain.items()}
    gone = list(plain)[: min(leaving, 9 - session.threshold)]
    total, there, _ = secure_sum(session, sent, {"mask": gone})
    np.testing.assert_allclose(total, sum(sent[n] for n in there), atol=1e-9)
    noise = total - sum(on_grid(plain[n], sharing) * session.step for n in there)
    variance = np.square(noise).mean()
    expected = len(there) * sharing.share_variance * session.step**2
    assert variance == pytest.approx(expected, rel=6 * math.sqrt(2 / LENGTH))
    assert variance > (MULTIPLIER * NORM) ** 2 * (1 - 6 * math.sqrt(2 / LENGTH))


@given(
    norm=st.floats(1e-3, 1e3),
    multiplier=st.floats(0.01, 50),
    stay=st.integers(1, 1024),
    data=st.data(),
)
def test_those_who_are_counted_have_the_noise_together(
    norm: float, multiplier: float, stay: int, data: st.DataObject
) -> None:
    colluding = data.draw(st.integers(0, stay - 1))
    step = norm * min(1.0, multiplier / math.sqrt(stay)) / 64
    sharing = Sharing(norm=norm, multiplier=multiplier, step=step, stay=stay, colluding=colluding)
    together = sharing.counted * sharing.share_variance - ROUNDING_VARIANCE
    assert together * step**2 >= (multiplier * norm) ** 2 * (1 - 1e-12)
    assert sharing.guaranteed >= multiplier * (1 - 1e-12)
    assert sharing.guaranteed <= multiplier * 1.2
    assert room_for(norm, multiplier, stay, colluding) >= sharing.largest_entry * (1 - 0.01)


VECTORS = arrays_of.arrays(np.float64, 8, elements=st.floats(-1, 1, allow_nan=False))


@given(values=VECTORS, step=st.floats(1e-6, 0.3))
def test_the_grid_never_makes_a_vector_longer(values: np.ndarray, step: float) -> None:
    length = float(np.linalg.norm(values))
    vector = values if length <= 1 else values / length * (1 - 1e-12)
    sharing = Sharing(norm=1.0, multiplier=100.0, step=step, stay=1)
    levels = on_grid(vector, sharing)
    assert (np.abs(levels * step) <= np.abs(vector) * (1 + 1e-12)).all()
    assert (np.abs(levels * step - vector) < step).all()


def test_noise_is_fresh_and_the_operating_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    _, sharing = noisy_session(3)
    zeros = np.zeros(LENGTH)
    np.random.seed(0)
    first = noised(zeros, sharing, 100.0)
    np.random.seed(0)
    assert not np.array_equal(first, noised(zeros, sharing, 100.0))
    asked: list[int] = []

    def counted(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    noised(zeros, sharing, 100.0, random=counted)
    assert sum(asked) >= 8 * LENGTH


def test_a_vector_that_was_not_clipped_is_refused() -> None:
    _, sharing = noisy_session(3)
    with pytest.raises(NotClippable, match="longer than the clip norm"):
        noised(np.full(LENGTH, NORM), sharing, 100.0)
    for bad in (np.full(LENGTH, np.nan), np.full(LENGTH, np.inf), np.zeros((2, 2))):
        with pytest.raises(NotClippable, match="finite"):
            noised(bad, sharing, 100.0)


def test_a_session_that_would_cut_noise_off_is_refused() -> None:
    session, sharing = noisy_session(3)
    noised(np.zeros(LENGTH), sharing, session.clip)
    with pytest.raises(TooLittleRoom, match="noise needs"):
        noised(np.zeros(LENGTH), sharing, NORM)


def test_a_grid_too_coarse_for_the_noise_is_refused() -> None:
    with pytest.raises(TooLittleRoom, match="below four steps"):
        Sharing(norm=1.0, multiplier=1.0, step=0.5, stay=3)
    with pytest.raises(TooLittleRoom, match="step"):
        Sharing(norm=1.0, multiplier=1.0, step=0.0, stay=3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"norm": 0.0}, "clip-norm"),
        ({"multiplier": 0.0}, "noise-multiplier"),
        ({"multiplier": math.inf}, "noise-multiplier"),
        ({"stay": 0}, "expected at least one"),
        ({"colluding": 3}, "expected at least one"),
    ],
)
def test_sharing_that_protects_nobody_is_refused(changes: dict[str, float], told: str) -> None:
    settings = {"norm": 1.0, "multiplier": 1.0, "step": 0.01, "stay": 3, "colluding": 0}
    with pytest.raises(UsageError, match=told):
        Sharing(**{**settings, **changes})  # type: ignore[arg-type]


def test_a_trusted_server_adds_all_noise_by_itself() -> None:
    sharing = Sharing(norm=NORM, multiplier=MULTIPLIER, step=1e-4, stay=1)
    levels = on_grid(np.full(LENGTH, 1e-3), sharing)
    noise = noised_sum(5 * levels, sharing) - 5 * levels * sharing.step
    assert noise.std() == pytest.approx(MULTIPLIER * NORM, rel=6 / math.sqrt(2 * LENGTH))
    shared = Sharing(norm=NORM, multiplier=MULTIPLIER, step=1e-4, stay=2)
    with pytest.raises(UsageError, match="2 parties'"):
        noised_sum(levels, shared)
