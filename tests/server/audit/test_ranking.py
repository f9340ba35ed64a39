"""Picking one of K devices: among few of them nothing passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.audit.finding import Verdict
from server.audit.ranking import ranking_outcome


def verdict_of(hits: int, devices: int) -> Verdict:
    outcome = ranking_outcome(hits, devices, measure="-", meaning="Told.", details={})
    assert ("too few for a pass" in outcome.meaning) == ("reason" in outcome.details)
    return outcome.verdict


@pytest.mark.parametrize(
    ("hits", "devices", "verdict"),
    [
        (0, 3, Verdict.NOT_MEASURABLE),
        (2, 3, Verdict.NOT_MEASURABLE),
        (3, 3, Verdict.NOT_MEASURABLE),
        (3, 4, Verdict.NOT_MEASURABLE),
        (4, 4, Verdict.FAIL),
        (1, 13, Verdict.NOT_MEASURABLE),
        (1, 14, Verdict.PASS),
        (3, 24, Verdict.PASS),
        (4, 24, Verdict.NOT_MEASURABLE),
        (5, 24, Verdict.FAIL),
    ],
)
def test_verdicts(hits: int, devices: int, verdict: Verdict) -> None:
    assert verdict_of(hits, devices) is verdict


@given(st.integers(1, 60))
def test_where_anything_passes_a_third_right_fails(devices: int) -> None:
    if verdict_of(0, devices) is Verdict.PASS:
        assert verdict_of(-(-devices // 3), devices) is Verdict.FAIL
