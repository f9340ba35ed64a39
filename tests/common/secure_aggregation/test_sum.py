"""Secure sums as a whole: exact to the stated step, whoever leaves; below the threshold nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.secure_aggregation.session import SecureSumRefused, fewest, safest
from tests.common.secure_aggregation.parties import secure_sum, session_of, vectors_of

STEPS = ("advertise", "share", "mask", "confirm", "reveal")


@pytest.mark.parametrize("members", [3, 24, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_the_sum_is_exact_to_the_step(members: int, share: float) -> None:
    """Members leave at every step, up to two fifths of all."""
    session = session_of(members, threshold=fewest(members))
    vectors = vectors_of(session)
    gone = list(range(2, 2 + int(share * members)))
    leave = {step: gone[number :: len(STEPS)] for number, step in enumerate(STEPS)}
    total, there, server = secure_sum(session, vectors, leave)
    expected = sum(vectors[member] for member in there)
    np.testing.assert_allclose(total, expected, atol=len(there) * session.step / 2 + 1e-12)
    assert set(server.left) == set(gone) - set(leave["reveal"])


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_pattern_of_leaving_gives_the_sum_or_an_end(data: st.DataObject) -> None:
    session = session_of(data.draw(st.integers(3, 7)), length=2)
    vectors = vectors_of(session, data.draw(st.integers(0, 9)))
    leave = {step: data.draw(st.sets(st.sampled_from(sorted(vectors)))) for step in STEPS}
    staying = set(vectors) - set().union(*leave.values())
    if len(staying) < safest(len(vectors)):
        with pytest.raises(SecureSumRefused, match="are needed"):
            secure_sum(session, vectors, leave)
        return
    total, there, _ = secure_sum(session, vectors, leave, restart=data.draw(st.booleans()))
    expected = sum(vectors[member] for member in there)
    np.testing.assert_allclose(total, expected, atol=len(there) * session.step)


@pytest.mark.parametrize("step", STEPS)
def test_below_the_threshold_it_ends_at_that_step(step: str) -> None:
    session = session_of(9)
    with pytest.raises(SecureSumRefused, match="7 are needed"):
        secure_sum(session, vectors_of(session), {step: {1, 2, 3}})


def test_what_is_too_large_is_clipped_and_sums_do_not_overflow() -> None:
    session = session_of(24, clip=2.0)
    vectors = {member: np.full(session.length, 1e9) for member in session.roster}
    total, _, _ = secure_sum(session, vectors)
    np.testing.assert_allclose(total, 48.0)


def test_new_attempts_have_new_masks() -> None:
    first, second = session_of(3, attempt=0), session_of(3, attempt=1)
    assert first.digest != second.digest
