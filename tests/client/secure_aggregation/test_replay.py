"""A second sum over the same head: what it would tell, and that honest members prevent it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.ledger import Ledger
from client.secure_aggregation.replay import (
    check_new_session,
    check_not_replayed,
    revealed_entry,
)
from common.secure_aggregation.session import SecureSumRefused, safest
from tests.common.secure_aggregation.parties import secure_sum, session_of, vectors_of


def test_two_sums_over_one_head_would_tell_an_update() -> None:
    """Why the rule is there: all of a member's vector is in the difference."""
    first, second = session_of(9), session_of(9, attempt=1)
    vectors = vectors_of(first)
    whole, _, _ = secure_sum(first, vectors)
    without, _, _ = secure_sum(second, vectors, {"advertise": {4}})
    np.testing.assert_allclose(whole - without, vectors[4], atol=1e-6)


@pytest.mark.parametrize("change", [{"attempt": 1}, {"round": 2}, {"federation": "other"}])
def test_a_second_sum_over_the_same_head_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    session = session_of(9)
    ledger = Ledger(tmp_path / "ledger.jsonl")
    check_not_replayed(ledger.entries(), session)
    ledger.append(revealed_entry(session))
    again = Ledger(tmp_path / "ledger.jsonl")
    with pytest.raises(SecureSumRefused, match="in round 1"):
        check_not_replayed(again.entries(), session_of(9, **change))
    check_not_replayed(again.entries(), session_of(9, head="1" * 64, round=2))


@pytest.mark.parametrize("number", [0, 1])
def test_rounds_go_forward_only(number: int) -> None:
    """Over another head, too: one that differs by a hair is another to a hash."""
    known = [revealed_entry(session_of(9), fleet="one")]
    asked = session_of(9, head="1" * 64, round=number)
    with pytest.raises(SecureSumRefused, match="rounds go forward only"):
        check_not_replayed(known, asked, fleet="one")


@pytest.mark.parametrize("change", [{"federation": "b"}, {"specification": 8}, {"fleet": "other"}])
def test_each_federation_of_a_fleet_counts_its_own_rounds(change: dict[str, Any]) -> None:
    """A device that joins another fleet is not bound by the rounds of the one before."""
    known = [revealed_entry(session_of(9, round=7), fleet="one")]
    fleet = change.pop("fleet", "one")
    check_not_replayed(known, session_of(9, head="1" * 64, **change), fleet=fleet)


@pytest.mark.parametrize("change", [{}, {"federation": "b"}, {"specification": 8, "round": 5}])
def test_a_reference_is_revealed_once_for_a_kind_of_features(change: dict[str, Any]) -> None:
    """It does not depend on the head, nor on what kind of head it is for."""
    first = session_of(9, stage="reference", round=0)
    known = [revealed_entry(first, features="faces")]
    asked = session_of(9, stage="reference", head="1" * 64, **{"round": 9, **change})
    with pytest.raises(SecureSumRefused, match="over the same features"):
        check_not_replayed(known, asked, features="faces")
    check_not_replayed(known, asked, features="other faces")
    check_not_replayed(known, session_of(9, head="1" * 64), features="faces")


def test_only_a_simulation_keeps_federations_apart() -> None:
    first = session_of(9, stage="reference", round=0)
    known = [revealed_entry(first, features="faces")]
    other = session_of(9, stage="reference", round=0, federation="b", head="1" * 64)
    check_not_replayed(known, other, features="faces", federations_apart=True)


def test_a_session_in_which_a_vector_was_sent_is_not_begun_anew() -> None:
    entry = {"arrays": [], "secure_sum": {"session": session_of(9).digest.hex()}}
    with pytest.raises(SecureSumRefused, match="begins a secure sum anew"):
        check_new_session([{"event": "other"}, entry], session_of(9))
    check_new_session([entry], session_of(9, attempt=1))


def test_an_attempt_that_nobody_revealed_may_be_repeated() -> None:
    check_not_replayed([{"stage": "head", "round": 1, "arrays": []}], session_of(9, attempt=1))


@given(members=st.integers(3, 60), data=st.data())
def test_two_groups_that_reveal_share_an_honest_member(members: int, data: st.DataObject) -> None:
    """With the default threshold, unless more than a third of all are the server's accomplices."""
    everybody = list(range(members))
    most = 2 * safest(members) - members - 1
    accomplices = set(data.draw(st.permutations(everybody))[:most])
    one = set(data.draw(st.permutations(everybody))[: safest(members)])
    other = set(data.draw(st.permutations(everybody))[: safest(members)])
    assert (one & other) - accomplices
