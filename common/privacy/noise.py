"""Noise for a sum on a grid: every member's share, so that those who stay have enough together.

A member clips its vector to norm S, brings it to the grid by rounding towards 0 (which never makes
a vector longer) and adds a share of discrete Gaussian noise; the sum's noise protects every single
member. How that is accounted for, in squared steps of the grid:

- Shares of variance v of n members add up to one discrete Gaussian of variance n v, up to a factor
  1 +- 4 exp(-pi^2 v) per entry and member (Poisson summation; Kairouz, Liu and Steinke, ICML 2021,
  https://arxiv.org/abs/2102.06387).
- A continuous Gaussian of variance n v - 4, rounded at random by a discrete Gaussian of variance 4
  around it, is that discrete Gaussian up to a factor 1 +- 4 exp(-8 pi^2) per entry. Rounding is
  post-processing. So the sum is as private as continuous noise of variance n v - 4.
- With v >= 16 all these factors together change epsilon and delta by less than 1e-20 for up to
  10^6 entries and 1024 members.

Only members who stay and do not tell the server their shares count; `Sharing.counted` says how
many are relied on.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from common.errors import UsageError
from common.privacy.clipping import NotClippable, check_norm
from common.privacy.discrete_gaussian import Bytes, Integers, discrete_gaussian

SMALLEST_VARIANCE: Final = 16
ROUNDING_VARIANCE: Final = 4
TAIL: Final = 12.0
"""Shares beyond so many standard deviations: one in 10^30."""
_SLACK: Final = 1.0 + 1e-12
"""Sums in floating point differ by so little; so does epsilon."""

Vector = npt.NDArray[np.float64]


class TooLittleRoom(UsageError):
    """A grid too coarse for the noise, or numbers too large for it."""


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """How noise is shared in one secure sum; the same for all members.

    Attributes:
        norm: S, that every member's vector is clipped to.
        multiplier: z; the counted members' noise together has at least z S per entry.
        step: of the grid.
        stay: members without whom no sum is revealed: the session's threshold. 1 where a trusted
            server adds all noise by itself.
        colluding: members who might tell the server their shares; below `stay`.

    Raises:
        UsageError: a value out of range.
        TooLittleRoom: the noise would be too small for the grid.
    """

    norm: float
    multiplier: float
    step: float
    stay: int
    colluding: int = 0

    def __post_init__(self) -> None:
        check_norm(self.norm)
        check_multiplier(self.multiplier)
        if not 0 <= self.colluding < self.stay:
            raise UsageError(
                f"noise is to come from {self.stay} members of whom {self.colluding} may collude, "
                "expected at least one who does not"
            )
        if not (math.isfinite(self.step) and 0 < self.step <= self.norm):
            raise TooLittleRoom(
                f"the grid's step is {self.step!r}, expected above 0 and at most the clip norm "
                f"{self.norm:g}; give an entry more bits"
            )
        if self.share_variance < SMALLEST_VARIANCE:
            raise TooLittleRoom(
                "a share of noise is below four steps of the grid, where it is no Gaussian any "
                "more; give an entry more bits"
            )

    @property
    def counted(self) -> int:
        """Members whose shares are relied on."""
        return self.stay - self.colluding

    @property
    def share_variance(self) -> int:
        """Variance of one member's share, in squared steps."""
        wanted = (self.multiplier * self.norm / self.step) ** 2 + ROUNDING_VARIANCE
        return math.ceil(wanted / self.counted)

    @property
    def guaranteed(self) -> float:
        """The multiplier that the accountant may count on; at least `multiplier` but for rounding.

        Members beyond `counted` who stay add more noise, which is not counted.
        """
        variance = self.counted * self.share_variance - ROUNDING_VARIANCE
        return math.sqrt(variance) * self.step / self.norm

    @property
    def largest_entry(self) -> float:
        """No entry with its share of noise is larger, but for one in 10^30."""
        return self.norm + TAIL * math.sqrt(self.share_variance) * self.step


def room_for(norm: float, multiplier: float, stay: int, colluding: int = 0) -> float:
    """A session's `clip` that leaves room for a share of noise; the grid's step follows from it.

    A sum's noise is sqrt(members) times a share's, and fits as the session's own check says.
    """
    check_norm(norm)
    check_multiplier(multiplier)
    if not 0 <= colluding < stay:
        raise UsageError(f"{colluding} of {stay} members may collude, expected fewer than all")
    share = multiplier * norm / math.sqrt(stay - colluding)
    return norm + (TAIL + 1) * share


def noised(values: Vector, sharing: Sharing, clip: float, *, random: Bytes = os.urandom) -> Vector:
    """A member's vector on the grid with its share of noise: what goes under the masks.

    Args:
        values: (length,) real numbers of norm at most `sharing.norm`.
        sharing: of this session; its `step` is the session's.
        clip: the session's; `encode` would cut larger entries off, and noise with them.
        random: bytes of the operating system. Others are for tests, and void the promise.

    Raises:
        NotClippable: the vector is not finite or longer than was agreed.
        TooLittleRoom: `clip` leaves too little room.
    """
    if sharing.largest_entry > clip:
        raise TooLittleRoom(
            f"the secure sum's clip is {clip:g}, but noise needs {sharing.largest_entry:g}"
        )
    levels = on_grid(values, sharing)
    levels += discrete_gaussian(sharing.share_variance, levels.size, random)
    return np.asarray(levels * sharing.step)


def noised_sum(levels: Integers, sharing: Sharing, *, random: Bytes = os.urandom) -> Vector:
    """A trusted server's sum of members' `on_grid` levels, with all of the noise.

    Raises:
        UsageError: `sharing` counts on more than one party's noise.
    """
    if sharing.counted != 1:
        raise UsageError(f"the server adds all noise, but {sharing.counted} parties' is counted on")
    noise = discrete_gaussian(sharing.share_variance, levels.size, random)
    return np.asarray((levels + noise) * sharing.step)


def on_grid(values: Vector, sharing: Sharing) -> Integers:
    """Whole steps of the grid, rounded towards 0: the norm, in steps, is at most S / step.

    Raises:
        NotClippable: the vector is not finite or longer than was agreed.
    """
    if values.ndim != 1 or not np.isfinite(values).all():
        raise NotClippable("a vector for a noised sum is not one row of finite numbers")
    levels = np.trunc(values / sharing.step)
    if float(np.square(levels).sum()) > (sharing.norm / sharing.step) ** 2 * _SLACK:
        raise NotClippable("a vector for a noised sum is longer than the clip norm; clip it first")
    return levels.astype(np.int64)


def check_multiplier(multiplier: float) -> None:
    """Refuse a noise multiplier that is none.

    Raises:
        UsageError: it is not a finite number above 0.
    """
    if not (isinstance(multiplier, int | float) and 0 < multiplier < 1e6):
        raise UsageError(f"noise-multiplier is {multiplier!r}, expected a finite number above 0")
