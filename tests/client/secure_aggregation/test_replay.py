"""A second sum over the same head: what it would tell, and that honest members prevent it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.ledger import Ledger
from client.secure_aggregation.replay import check_not_replayed, revealed_entry
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
    check_not_replayed(again.entries(), session_of(9, head="1" * 64))


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
