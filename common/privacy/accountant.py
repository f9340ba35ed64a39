"""Who keeps count of privacy: releases composed over rounds, as a record that travels with a run.

A state is data: how often noise of which multiplier was released, and what makes the promise void.
Epsilon is computed from it by dp-accounting's privacy loss distributions; `common.privacy.gaussian`
is the slow, exact check. Whatever the accountant does not cover is refused, never guessed: unequal
weights, amplification by sampling (who was asked is the server's own choice, which it knows), noise
from a seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from common.errors import UsageError, WorkError
from common.privacy.gaussian import check_delta, delta_of, epsilon_of, mu_of
from common.privacy.noise import check_multiplier

FORMAT: Final = 1
NEIGHBOURS: Final = "a device's update, or zeros in its place"
REQUIREMENT: Final = "dp-accounting>=0.6,<0.7"
LARGEST_MU: Final = 6.0
"""Beyond it (epsilon 43 at delta 1e-5) distributions take minutes for what protects nobody."""
_INTERVAL: Final = 1e-3
SEEDED: Final = "noise came from a seed, so that whoever knows it can take the noise away"
NO_NOISE: Final = "something left without noise"


class NotCovered(WorkError):
    """A release that the accountant has no proof for; names the reason."""


@dataclass(frozen=True, kw_only=True)
class NoisyRelease:
    """What is told of one sum that was released.

    Attributes:
        multiplier: standard deviation of the noise on the sum, in clipping norms, as
            `Sharing.guaranteed` gives it.
        equal_weights: whether every device counts the same.
        sampling: share of devices for which amplification is claimed; 1 claims none, and is right
            for rounds that ask only some, too: they are counted as if all had been asked.
        seeded: whether the noise can be drawn again.
    """

    multiplier: float
    equal_weights: bool = True
    sampling: float = 1.0
    seeded: bool = False

    def problems(self) -> tuple[str, ...]:
        """All reasons why this is not covered."""
        found = []
        if not self.equal_weights:
            found.append("devices have unequal weights, so that the clip norm bounds none of them")
        if self.sampling != 1:
            found.append("amplification by sampling is not accounted for; count all as asked (1)")
        if self.seeded:
            found.append(SEEDED)
        return tuple(found)


@dataclass(frozen=True)
class PrivacyState:
    """All releases so far.

    Attributes:
        releases: noise multiplier and how often, in the order of their first release.
        void: reasons why nothing is promised; empty where something is.
    """

    releases: tuple[tuple[float, int], ...] = ()
    void: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for multiplier, count in self.releases:
            check_multiplier(multiplier)
            if type(count) is not int or count < 1:
                raise UsageError(f"a noise multiplier was released {count!r} times, expected 1...")

    @property
    def rounds(self) -> int:
        """Number of releases."""
        return sum(count for _, count in self.releases)

    @property
    def mu(self) -> float:
        """Of all releases as one Gaussian mechanism; infinite where void."""
        if self.void:
            return math.inf
        return mu_of(z / math.sqrt(count) for z, count in self.releases)


def compose(state: PrivacyState, release: NoisyRelease, count: int = 1) -> PrivacyState:
    """The state after `count` more releases of a kind.

    Raises:
        NotCovered: the accountant has no proof for it; `voided` goes on without a promise.
        UsageError: the multiplier or the count is out of range.
    """
    found = release.problems()
    if found:
        raise NotCovered(f"the accountant does not cover this round: {'; '.join(found)}")
    releases = dict(state.releases)
    releases[release.multiplier] = releases.get(release.multiplier, 0) + count
    return PrivacyState(tuple(releases.items()), state.void)


def voided(state: PrivacyState, reason: str) -> PrivacyState:
    """The state of a run that promises nothing any more ("DP void"); there is no way back."""
    return PrivacyState(state.releases, tuple(dict.fromkeys((*state.void, reason))))


def after_round(state: PrivacyState, release: NoisyRelease) -> PrivacyState:
    """The state of a run that goes on: counted, or void where its noise can be drawn again.

    Raises:
        NotCovered: anything else that the accountant has no proof for.
    """
    if release.seeded:
        return voided(state, SEEDED)
    return compose(state, release)


def epsilon(state: PrivacyState, delta: float) -> float:
    """Epsilon of all releases at `delta`: 0 for none, infinite where void.

    From privacy loss distributions; from the exact Gaussian curve where `mu` exceeds `LARGEST_MU`.

    Raises:
        UsageError: delta is not between 0 and 1.
        WorkError: dp-accounting is not installed.
    """
    check_delta(delta)
    if state.void or not state.releases:
        return math.inf if state.void else 0.0
    if state.mu > LARGEST_MU:
        return epsilon_of(delta, state.mu)
    return float(_accountant(state).get_epsilon(delta))


def delta(state: PrivacyState, epsilon: float) -> float:
    """Delta of all releases at `epsilon`: 0 for none, 1 where void; see `epsilon`.

    Raises:
        WorkError: dp-accounting is not installed.
    """
    if state.void or not state.releases:
        return 1.0 if state.void else 0.0
    if state.mu > LARGEST_MU:
        return delta_of(epsilon, state.mu)
    return float(_accountant(state).get_delta(epsilon))


def record(state: PrivacyState, at: float) -> dict[str, Any]:
    """What stands in a run's record: the state, and epsilon at delta `at` (None where void)."""
    return {
        "format": FORMAT,
        "accountant": f"PLD ({REQUIREMENT})" if state.mu <= LARGEST_MU else "Gaussian curve",
        "neighbours": NEIGHBOURS,
        "releases": [list(release) for release in state.releases],
        "dp": "void" if state.void else "counted",
        "void": list(state.void),
        "mu": None if state.void else state.mu,
        "delta": at,
        "epsilon": None if state.void else epsilon(state, at),
    }


def from_record(told: Mapping[str, Any] | str) -> PrivacyState:
    """The state of a run's record, to go on with; figures in it are computed again, not believed.

    Raises:
        UsageError: it is not such a record.
    """
    try:
        content = json.loads(told) if isinstance(told, str) else told
        if content["format"] != FORMAT or content["neighbours"] != NEIGHBOURS:
            raise ValueError("another format")
        releases = tuple((_number(z), count) for z, count in content["releases"])
        void = tuple(str(reason) for reason in content["void"])
        if (content["dp"] == "void") != bool(void):
            raise ValueError("void, or not?")
        return PrivacyState(releases, void)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"a run's privacy record could not be read: {error}") from error


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _accountant(state: PrivacyState) -> Any:
    try:
        from dp_accounting import GaussianDpEvent
        from dp_accounting.pld import PLDAccountant
    except ImportError as error:
        raise WorkError(f"privacy can't be counted without {REQUIREMENT}; install it") from error
    accountant = PLDAccountant(value_discretization_interval=_INTERVAL)
    for multiplier, count in state.releases:
        accountant.compose(GaussianDpEvent(multiplier), count)
    return accountant
