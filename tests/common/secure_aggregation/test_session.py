"""Sessions: rules that give no protection are refused, and everything is in the digest."""

from __future__ import annotations

import pytest

from common.errors import UsageError
from common.secure_aggregation.session import fewest, most_bits, safest
from tests.common.secure_aggregation.parties import session_of


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"threshold": 2}, "threshold is 2 of 5 members, expected more than half"),
        ({"threshold": 6}, "threshold is 6 of 5 members"),
        ({"bits": 30}, "bits is 30, expected 2 to 29"),
        ({"bits": 1}, "bits is 1"),
        ({"clip": 0.0}, "clip 0.0"),
        ({"clip": float("inf")}, "clip inf"),
        ({"length": 0}, "length is 0"),
        ({"roster": {1: b"a", 2: b"b"}}, "needs 3 to 1024 members, found 2"),
        ({"roster": {1: b"a", 2: b"b", 4: b"c"}, "threshold": 2}, "without gaps"),
        ({"roster": {1: b"a", 2: b"b", 3: b"b"}, "threshold": 2}, "same identity key"),
    ],
)
def test_rules_that_do_not_protect_are_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        session_of(5, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"federation": "b"},
        {"stage": "reference"},
        {"round": 2},
        {"attempt": 1},
        {"terms": "1" * 64},
        {"specification": 8},
        {"head": "1" * 64},
        {"length": 7},
        {"clip": 2.0},
        {"bits": 20},
        {"threshold": 5},
    ],
)
def test_whatever_differs_is_another_session(change: dict[str, object]) -> None:
    assert session_of(5).digest == session_of(5).digest
    assert session_of(5).digest != session_of(5, **change).digest  # type: ignore[arg-type]


def test_a_different_roster_is_another_session() -> None:
    roster = {**session_of(5).roster, 5: b"\x09" * 32}
    assert session_of(5).digest != session_of(5, roster=roster).digest


@pytest.mark.parametrize("members", range(3, 200))
def test_sums_over_all_members_fit_the_ring(members: int) -> None:
    largest = 2 ** (most_bits(members) - 1) - 1
    assert members * largest < 2**31
    assert 2 * fewest(members) > members
    assert 3 * safest(members) > 2 * members
