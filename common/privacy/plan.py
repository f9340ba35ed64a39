"""Planning noise before a federation starts: how much, and whether anything can be learnt under it.

The rule of thumb is the lab's (docs/privacy.md): sqrt(T) K / (z sqrt(d)) is how far the noise of T
rounds over K devices leaves a head of d parameters to be learnt; at 2 or more it is usable. For a
fixed epsilon z grows as sqrt(T), so that more rounds neither help nor hurt it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from common.errors import UsageError
from common.heads.specification import HEAD_STAGE, HeadSpecification
from common.privacy.gaussian import check_delta, check_epsilon, most_true_positives, multiplier_for
from common.privacy.lab import FULL, SMALL, LabCost, lab_cost

USABLE_SIGNAL: Final = 2.0
PROJECTIONS: Final = (32, 16, 8)
"""Widths of a public projection that are tried, widest first."""
SPARE: Final = 1.0 + 1e-4
"""More noise than the exact curve asks for: the accountant rounds up, and must agree."""
NEITHER: Final = "neither"
DEFAULT_DELTA: Final = 1e-5
MOST_DEVICES: Final = 10**9


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """One head under the planned noise.

    Attributes:
        features: numbers that a clip is described by.
        parameters: of both branches of a linear head on them.
        noise_norm: expected length of the noise on the average update, in clipping norms.
        signal: of the rule of thumb.
        cost: of the lab's nearest cell, None where it has none.
    """

    features: int
    parameters: int
    noise_norm: float
    signal: float
    cost: LabCost | None

    @property
    def usable(self) -> bool:
        """Whether the rule of thumb gives it a chance."""
        return self.signal >= USABLE_SIGNAL


@dataclass(frozen=True, kw_only=True)
class PrivacyPlan:
    """Noise for a federation, and what follows from it.

    Attributes:
        devices: that take part in every round.
        rounds: releases: head rounds, and the reference's where it is not public.
        epsilon, delta: the promise.
        multiplier: standard deviation of the noise on the sum, in clipping norms.
        noise_on_average: the same on the average, per entry.
        ceilings: most that any attack's true positive rate can be, by false positive rate.
        full: the head on all features.
        small: on the widest public projection that is usable, else on the narrowest.
        recommendation: `FULL`, `SMALL` or `NEITHER`.
    """

    devices: int
    rounds: int
    epsilon: float
    delta: float
    multiplier: float
    noise_on_average: float
    ceilings: dict[float, float]
    full: HeadPlan
    small: HeadPlan
    recommendation: str


def make_plan(
    *, devices: int, rounds: int, epsilon: float, delta: float = DEFAULT_DELTA, dimension: int
) -> PrivacyPlan:
    """Plan device-level privacy for a linear head on features of `dimension` numbers.

    Raises:
        UsageError: a value out of range, or a delta of 1 / devices or more, which would allow
            one device's data to be published.
    """
    _check(devices, rounds, epsilon, delta)
    multiplier = SPARE * multiplier_for(epsilon, delta, rounds)
    mu = math.sqrt(rounds) / multiplier

    def head(kind: str, features: int) -> HeadPlan:
        return _head_plan(kind, features, devices, rounds, multiplier, epsilon)

    full = head(FULL, dimension)
    widths = [width for width in PROJECTIONS if width < dimension] or [dimension]
    tried = [head(SMALL, width) for width in widths]
    small = next((plan for plan in tried if plan.usable), tried[-1])
    fits = NEITHER if not small.usable else SMALL
    return PrivacyPlan(
        devices=devices,
        rounds=rounds,
        epsilon=epsilon,
        delta=delta,
        multiplier=multiplier,
        noise_on_average=multiplier / devices,
        ceilings={rate: most_true_positives(rate, mu) for rate in (0.01, 0.001)},
        full=full,
        small=small,
        recommendation=FULL if full.usable else fits,
    )


def signal_of(devices: int, rounds: int, multiplier: float, parameters: int) -> float:
    """sqrt(T) K / (z sqrt(d)).

    >>> round(signal_of(24, 20, 2.684, 10_248), 1), round(signal_of(24, 20, 2.684, 72), 1)
    (0.4, 4.7)
    """
    return math.sqrt(rounds) * devices / (multiplier * math.sqrt(parameters))


def parameters_of(features: int) -> int:
    """Entries of a linear head's update on so many features.

    Raises:
        UsageError: no number of features.
    """
    shapes = HeadSpecification(kind="logistic", dimension=features, features="").shapes(HEAD_STAGE)
    return sum(math.prod(shape) for shape in shapes.values())


def _head_plan(
    kind: str, features: int, devices: int, rounds: int, multiplier: float, epsilon: float
) -> HeadPlan:
    parameters = parameters_of(features)
    return HeadPlan(
        features=features,
        parameters=parameters,
        noise_norm=multiplier * math.sqrt(parameters) / devices,
        signal=signal_of(devices, rounds, multiplier, parameters),
        cost=lab_cost(kind, devices, epsilon),
    )


def _check(devices: int, rounds: int, epsilon: float, delta: float) -> None:
    for name, value, most in (("devices", devices, MOST_DEVICES), ("rounds", rounds, 100_000)):
        if type(value) is not int or not 1 <= value <= most:
            raise UsageError(f"{name} is {value!r}, expected 1 to {most}")
    check_epsilon(epsilon)
    check_delta(delta)
    if devices > 1 and delta >= 1 / devices:
        raise UsageError(
            f"delta is {delta:g}, expected far below 1 / devices ({1 / devices:.2g}): a promise "
            "with a larger one is kept by publishing one device's data"
        )
