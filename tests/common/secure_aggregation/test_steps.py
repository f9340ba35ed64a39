"""Steps as bytes: what was written is read, and anything else is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.secure_aggregation import steps
from common.secure_aggregation.messages import (
    Advertisement,
    Confirmation,
    Revealed,
    SealedShares,
)
from common.secure_aggregation.session import SecureSumRefused
from common.secure_aggregation.shamir import SHARE_BYTES

MEMBERS = st.integers(1, 1024)


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


@given(
    st.integers(0, 2**31 - 1),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.lists(st.binary(max_size=60), max_size=5),
)
def test_an_invitation_comes_back(attempt: int, head: str, introductions: list[bytes]) -> None:
    told = steps.Invitation(attempt, head, tuple(introductions))
    assert steps.read_invitation(steps.write_invitation(told)) == told


@given(st.lists(st.tuples(MEMBERS, exactly(32), exactly(32), exactly(64)), max_size=4))
def test_keys_come_back(rows: list[tuple[int, bytes, bytes, bytes]]) -> None:
    told = [Advertisement(*row) for row in rows]
    assert steps.read_all_keys(steps.write_all_keys(told)) == told
    for each in told:
        assert steps.read_keys(each.member, steps.write_keys(each)) == each


@given(MEMBERS, st.lists(st.tuples(MEMBERS, exactly(steps.SEALED_BYTES)), max_size=4))
def test_shares_come_back_from_both_sides(own: int, rows: list[tuple[int, bytes]]) -> None:
    out = [SealedShares(own, other, sealed) for other, sealed in rows]
    assert steps.read_shares(own, steps.write_shares(out)) == out
    into = [SealedShares(other, own, sealed) for other, sealed in rows]
    assert steps.read_incoming(own, steps.write_incoming(into)) == into


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_a_masked_vector_comes_back(values: list[int]) -> None:
    vector = np.array(values, dtype=np.uint32)
    found = steps.read_masked(steps.write_masked(vector), len(values))
    np.testing.assert_array_equal(found, vector)
    assert found.dtype == np.uint32


@given(st.lists(MEMBERS, max_size=6), exactly(64))
def test_members_and_signatures_come_back(members: list[int], signature: bytes) -> None:
    assert steps.read_members(steps.write_members(members)) == members
    told = [Confirmation(member, signature) for member in members]
    assert steps.read_signatures(steps.write_signatures(told)) == told
    for each in told:
        assert steps.read_signature(each.member, steps.write_signature(each)) == each


@given(
    MEMBERS,
    st.dictionaries(MEMBERS, exactly(SHARE_BYTES), max_size=4),
    st.dictionaries(MEMBERS, exactly(SHARE_BYTES), max_size=4),
)
def test_revealed_shares_come_back(
    member: int, own: dict[int, bytes], pairs: dict[int, bytes]
) -> None:
    told = Revealed(member, own, pairs)
    assert steps.read_revealed(member, steps.write_revealed(told)) == told


WHOLE: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "invitation": (
        steps.write_invitation(steps.Invitation(1, "a" * 64, (b"me", b"you"))),
        steps.read_invitation,
    ),
    "keys": (bytes(128), lambda data: steps.read_keys(1, data)),
    "all keys": (bytes(2 * 132), steps.read_all_keys),
    "shares": (bytes(2 * (4 + steps.SEALED_BYTES)), lambda data: steps.read_shares(1, data)),
    "masked": (bytes(12), lambda data: steps.read_masked(data, 3)),
    "signature": (bytes(64), lambda data: steps.read_signature(1, data)),
    "signatures": (bytes(68), steps.read_signatures),
    "revealed": (
        steps.write_revealed(Revealed(1, {2: bytes(33)}, {3: bytes(33)})),
        lambda data: steps.read_revealed(1, data),
    ),
}


@pytest.mark.parametrize("what", WHOLE)
def test_a_step_cut_short_or_drawn_out_is_refused(what: str) -> None:
    data, read = WHOLE[what]
    read(data)
    for other in (data[:-1], data + b"\0", data[:-1] + b"\0\0\0"):
        with pytest.raises(SecureSumRefused, match="came in another form"):
            read(other)


@pytest.mark.parametrize("what", WHOLE)
@given(data=st.binary(max_size=300))
def test_no_bytes_make_a_reader_fall_over(what: str, data: bytes) -> None:
    try:
        WHOLE[what][1](data)
    except SecureSumRefused:
        return


def test_a_share_that_came_twice_is_refused() -> None:
    twice = (2).to_bytes(4, "big") + 2 * ((3).to_bytes(4, "big") + bytes(33))
    with pytest.raises(SecureSumRefused):
        steps.read_revealed(1, twice)


def test_an_introduction_can_t_be_endless() -> None:
    long = steps.Invitation(0, "a" * 64, (bytes(steps.LONGEST_INTRODUCTION + 1), b"x"))
    with pytest.raises(SecureSumRefused):
        steps.read_invitation(steps.write_invitation(long))
