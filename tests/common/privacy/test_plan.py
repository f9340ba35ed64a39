"""Plans: the accountant agrees, the device's budget lasts for them, and the rule holds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.exposure import Asked, ExposureLimits, would_exceed
from common.heads.specification import HeadSpecification
from common.privacy.accountant import NoisyRelease, PrivacyState, compose, epsilon
from common.privacy.lab import EPSILONS, FULL, SMALL, lab_cost
from common.privacy.plan import NEITHER, USABLE_SIGNAL, make_plan, parameters_of, signal_of


@given(target=st.floats(0.1, 30), delta=st.sampled_from([1e-5, 1e-7]), rounds=st.integers(1, 200))
@settings(max_examples=6, deadline=None)
def test_the_accountant_finds_the_promise_kept(target: float, delta: float, rounds: int) -> None:
    plan = make_plan(devices=24, rounds=rounds, epsilon=target, delta=delta, dimension=64)
    state = compose(PrivacyState(), NoisyRelease(multiplier=plan.multiplier), rounds)
    assert target * 0.999 - 1e-3 < epsilon(state, delta) <= target


@pytest.mark.parametrize("target", [1.0, 4.0, 8.0])
def test_a_device_takes_part_in_just_the_planned_rounds(target: float) -> None:
    plan = make_plan(devices=24, rounds=12, epsilon=target, dimension=64)
    asked = Asked(stage="head", combinations=7, noise=plan.multiplier)
    noise = {"multiplier": plan.multiplier, "seeded": False}
    entries: list[dict[str, object]] = []
    while would_exceed(entries, asked, 50, ExposureLimits(epsilon=target)).take_part:
        number = len(entries)
        entries.append({"stage": "head", "arrays": [], "sha256": str(number), "noise": noise})
    assert len(entries) == 12


@given(
    devices=st.integers(1, 10**6),
    rounds=st.integers(1, 500),
    target=st.floats(0.1, 50),
    dimension=st.integers(1, 3000),
)
@settings(max_examples=40)
def test_what_is_recommended_is_usable(
    devices: int, rounds: int, target: float, dimension: int
) -> None:
    delta = min(1e-5, 0.1 / devices)
    plan = make_plan(
        devices=devices, rounds=rounds, epsilon=target, delta=delta, dimension=dimension
    )
    assert plan.recommendation in (FULL, SMALL, NEITHER)
    assert plan.full.usable == (plan.recommendation == FULL)
    if plan.recommendation == SMALL:
        assert plan.small.signal >= USABLE_SIGNAL
        assert plan.small.features <= min(32, dimension)
    if plan.recommendation == NEITHER:
        assert plan.small.signal < USABLE_SIGNAL


def test_more_rounds_neither_help_nor_hurt_the_signal() -> None:
    few, many = (
        make_plan(devices=24, rounds=rounds, epsilon=8, dimension=1280) for rounds in (1, 400)
    )
    assert few.full.signal == pytest.approx(many.full.signal, rel=1e-6)
    assert many.multiplier == pytest.approx(20 * few.multiplier, rel=1e-6)
    assert signal_of(24, 1, 1.0, 4) == 12


def test_parameters_are_the_specifications() -> None:
    spec = HeadSpecification(kind="logistic", dimension=17, features="")
    assert parameters_of(17) == sum(math.prod(shape) for shape in spec.shapes("head").values())


@given(st.sampled_from([FULL, SMALL]), st.integers(1, 10**6), st.floats(0.1, 100))
def test_a_lab_figure_is_never_of_a_kinder_case(head: str, devices: int, target: float) -> None:
    cost = lab_cost(head, devices, target)
    if devices < 24 or target < min(EPSILONS):
        assert cost is None
    else:
        assert cost is not None
        assert cost.devices <= devices
        assert cost.epsilon <= target
        assert cost.points >= 0
        assert "lab" in cost.source
