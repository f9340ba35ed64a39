"""The accountant against the exact curve; what it refuses, and what a record carries."""

from __future__ import annotations

import builtins
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError, WorkError
from common.privacy.accountant import (
    LARGEST_MU,
    NO_NOISE,
    SEEDED,
    NoisyRelease,
    NotCovered,
    PrivacyState,
    after_round,
    compose,
    delta,
    epsilon,
    from_record,
    record,
    voided,
)
from common.privacy.gaussian import delta_of, epsilon_of

STATES = st.lists(
    st.tuples(st.floats(2, 50), st.integers(1, 8)), max_size=4, unique_by=lambda each: each[0]
).map(lambda releases: PrivacyState(tuple(releases)))


@pytest.mark.parametrize(
    ("multiplier", "expected"),
    [(16.68, 1.0), (8.92, 2.0), (4.84, 4.0), (2.68, 8.02), (1.54, 16.0), (1.0, 28.4)],
)
def test_twenty_rounds_cost_what_the_table_says(multiplier: float, expected: float) -> None:
    state = compose(PrivacyState(), NoisyRelease(multiplier=multiplier), 20)
    assert epsilon(state, 1e-5) == pytest.approx(expected, rel=0.003)


@given(state=STATES)
@settings(max_examples=15, deadline=None)
def test_it_agrees_with_the_exact_curve(state: PrivacyState) -> None:
    found = epsilon(state, 1e-6)
    assert found == pytest.approx(epsilon_of(1e-6, state.mu), rel=1e-3, abs=1e-3)
    assert found >= epsilon_of(1e-6, state.mu) - 1e-6
    if state.mu:
        assert delta(state, 0.5) == pytest.approx(delta_of(0.5, state.mu), rel=0.01, abs=1e-9)


def test_rounds_add_up_whatever_their_order() -> None:
    one, two = NoisyRelease(multiplier=3.0), NoisyRelease(multiplier=5.0)
    there = compose(compose(compose(PrivacyState(), one), two), one)
    back = compose(compose(PrivacyState(), two), one, 2)
    assert there.rounds == back.rounds == 3
    assert epsilon(there, 1e-5) == pytest.approx(epsilon(back, 1e-5), rel=1e-9)
    assert epsilon(there, 1e-5) > epsilon(compose(PrivacyState(), one, 2), 1e-5)


def test_nothing_released_costs_nothing() -> None:
    assert epsilon(PrivacyState(), 1e-5) == 0
    assert delta(PrivacyState(), 0.0) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"equal_weights": False}, "unequal weights"),
        ({"sampling": 0.1}, "amplification by sampling"),
        ({"seeded": True}, "seed"),
    ],
)
def test_what_has_no_proof_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(NotCovered, match=told):
        compose(PrivacyState(), NoisyRelease(multiplier=1.0, **change))


def test_all_reasons_are_told_at_once() -> None:
    release = NoisyRelease(multiplier=1.0, equal_weights=False, sampling=0.5, seeded=True)
    assert len(release.problems()) == 3


@pytest.mark.parametrize("multiplier", [0.0, -1.0, math.nan, math.inf])
def test_no_noise_is_no_release(multiplier: float) -> None:
    with pytest.raises(UsageError, match="noise-multiplier"):
        compose(PrivacyState(), NoisyRelease(multiplier=multiplier))


@pytest.mark.parametrize("reason", [SEEDED, NO_NOISE])
def test_void_stays_void(reason: str) -> None:
    state = voided(compose(PrivacyState(), NoisyRelease(multiplier=4.0)), reason)
    later = compose(state, NoisyRelease(multiplier=4.0), 5)
    assert later.void == voided(later, reason).void == (reason,)
    assert epsilon(later, 1e-5) == math.inf
    assert delta(later, 1e3) == 1
    assert record(later, 1e-5) | {"dp": "void", "epsilon": None, "mu": None} == record(later, 1e-5)


def test_a_seeded_run_goes_on_and_is_void() -> None:
    state = after_round(PrivacyState(), NoisyRelease(multiplier=4.0))
    assert state.rounds == 1
    state = after_round(state, NoisyRelease(multiplier=4.0, seeded=True))
    assert record(state, 1e-5)["dp"] == "void"
    assert record(state, 1e-5)["void"] == [SEEDED]
    with pytest.raises(NotCovered, match="unequal"):
        after_round(state, NoisyRelease(multiplier=4.0, equal_weights=False))


@given(state=STATES, void=st.lists(st.text(min_size=1), max_size=2, unique=True))
@settings(max_examples=10, deadline=None)
def test_a_record_survives_json(state: PrivacyState, void: list[str]) -> None:
    for reason in void:
        state = voided(state, reason)
    text = json.dumps(record(state, 1e-5))
    assert from_record(text) == from_record(json.loads(text)) == state


def test_a_record_says_what_is_meant() -> None:
    found = record(compose(PrivacyState(), NoisyRelease(multiplier=2.68), 20), 1e-5)
    assert found["epsilon"] == pytest.approx(8.02, abs=0.01)
    assert found["neighbours"] == "a device's update, or zeros in its place"
    assert (found["releases"], found["dp"], found["delta"]) == ([[2.68, 20]], "counted", 1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"neighbours": "one clip"},
        {"releases": [["1", 1]]},
        {"releases": [[1.0, 0]]},
        {"releases": [[1.0]]},
        {"releases": [[-1.0, 1]]},
        {"dp": "void"},
        {"void": ["seeded"]},
        {"releases": None},
    ],
)
def test_a_record_that_is_none_is_refused(change: dict[str, Any]) -> None:
    good = record(compose(PrivacyState(), NoisyRelease(multiplier=9.0)), 1e-5)
    with pytest.raises(UsageError):
        from_record({**good, **change})
    with pytest.raises(UsageError, match="could not be read"):
        from_record("{")


def test_hardly_any_noise_is_counted_without_distributions() -> None:
    state = compose(PrivacyState(), NoisyRelease(multiplier=0.1), 20)
    assert state.mu > LARGEST_MU
    assert epsilon(state, 1e-5) == pytest.approx(1190.7, abs=1)
    assert record(state, 1e-5)["accountant"] == "Gaussian curve"


def test_without_dp_accounting_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *more: Any, **named: Any) -> Any:
        if name.startswith("dp_accounting"):
            raise ImportError(name)
        return original(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(WorkError, match=r"dp-accounting>=0\.6,<0\.7"):
        epsilon(compose(PrivacyState(), NoisyRelease(multiplier=2.0)), 1e-5)
