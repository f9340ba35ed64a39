"""How much a device is willing to tell of its clips; what is counted is in `client.exposure`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from common.errors import UsageError


def is_number(value: object) -> bool:
    """Whether a value is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, kw_only=True)
class ExposureLimits:
    """How much a device is willing to tell.

    Attributes:
        share: mixtures per clip from which on it declines; None for no limit. A quarter keeps
            membership tests near chance.
        epsilon: most that noised rounds may cost together at `delta`; None for no limit.
        delta: see there.
        fewest_in_sum: members without whom no sum is revealed; a secure sum that may be of fewer
            counts as an update that leaves as it is, and in a noised one of fewer this device's
            own share of the noise alone counts.
        bare_updates: whether updates may leave as they are, without a secure sum. A server that
            asks for one over a head whose sum it has would take the device's part out of the sum.

    Raises:
        UsageError: a value out of range.
    """

    share: float | None = 0.25
    epsilon: float | None = 8.0
    delta: float = 1e-5
    fewest_in_sum: int = 10
    bare_updates: bool = False

    def __post_init__(self) -> None:
        for name, value in (("exposure-share", self.share), ("exposure-epsilon", self.epsilon)):
            if value is not None and not (is_number(value) and value >= 0):
                raise UsageError(f"setting {name} is {value!r}, expected 0 or more, or none")
        if not (is_number(self.delta) and 0 < self.delta < 1):
            raise UsageError(f"setting delta is {self.delta!r}, expected between 0 and 1")
        if type(self.fewest_in_sum) is not int or self.fewest_in_sum < 2:
            raise UsageError(f"setting fewest-in-sum is {self.fewest_in_sum!r}, expected 2 or more")
        if type(self.bare_updates) is not bool:
            raise UsageError(
                f"setting bare-updates is {self.bare_updates!r}, expected true or false"
            )


FLEET_LIMITS: Final = ExposureLimits()
"""Of a device in a fleet, unless its owner sets others."""
NO_LIMITS: Final = ExposureLimits(share=None, epsilon=None, bare_updates=True)
"""Of a simulation, unless asked for."""
