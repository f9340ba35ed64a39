"""Features on one scale: the population's reference, and the user's own mean and spread.

All functions work on rows, (rows, dimension). Signed square roots come first: they even out the
long tails of action units and rectified activations (power normalisation, Perronnin, Sanchez and
Mensink, ECCV 2010, with exponent 1/2). Squashing comes last: it bounds every input, so that a
broken frame can't dominate a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float64]

SQUASH_LIMIT = 3.0
SMALLEST_SPREAD = 0.2
"""A user's spread below this share of the population's is taken for this: few clips, no zeros."""


@dataclass(frozen=True)
class Reference:
    """Where a feature lies and how far it varies within one user, over the population.

    Attributes:
        centre: (dimension,), in units of the power-transformed feature.
        spread: (dimension,), same units; 0 means that nobody's varied, and counts as 1.
    """

    centre: Rows
    spread: Rows


@dataclass(frozen=True)
class UserStatistics:
    """A user's own mean and spread, from unlabelled clips, in the reference's units.

    Attributes:
        mean: (dimension,).
        spread: (dimension,), at least `SMALLEST_SPREAD`.
        trust: 0..1, how far the user branch should be believed; see `user_statistics`.
    """

    mean: Rows
    spread: Rows
    trust: float

    def shrunk(self) -> UserStatistics:
        """Mean and spread drawn towards the population's (0 and 1) as far as trust is missing."""
        return UserStatistics(
            self.trust * self.mean, self.trust * self.spread + (1 - self.trust), self.trust
        )


def power(rows: npt.ArrayLike) -> Rows:
    """Signed square root, elementwise.

    >>> power([[4.0, -9.0]]).tolist()
    [[2.0, -3.0]]
    """
    values = np.asarray(rows, dtype=np.float64)
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def squash(rows: Rows) -> Rows:
    """Odd, increasing, the identity near 0 and within +-`SQUASH_LIMIT` everywhere."""
    return np.asarray(SQUASH_LIMIT * np.tanh(rows / SQUASH_LIMIT))


def to_units(rows: Rows, reference: Reference) -> Rows:
    """Power-transformed rows in the reference's units: 0 at its centre, 1 its spread."""
    spread = np.where(reference.spread > 0, reference.spread, 1.0)
    return np.asarray((rows - reference.centre) / spread)


def user_statistics(units: Rows, clips: int) -> UserStatistics:
    """Mean, spread and trust from a user's unlabelled rows.

    A user's mean stands for "this face at rest and in motion alike" only if the clips show many
    expressions. Clips of one expression vary less than the population's users do, so
    `trust = clips / (clips + 1) * mean(min(1, spread)) ** 2`: about 0.8 for a full set of
    expressions, about 0.3 for neutral clips alone. No label is needed.

    Args:
        units: (rows, dimension) from `to_units`.
        clips: number of clips that the rows come from; 0 gives trust 0.
    """
    if clips == 0 or len(units) == 0:
        width = units.shape[1]
        return UserStatistics(np.zeros(width), np.ones(width), 0.0)
    spread = units.std(axis=0)
    unbiased = spread * np.sqrt(clips / max(clips - 1, 1))
    coverage = float(np.minimum(1.0, unbiased).mean())
    return UserStatistics(
        units.mean(axis=0),
        np.maximum(spread, SMALLEST_SPREAD),
        clips / (clips + 1) * coverage**2,
    )


def population_inputs(units: Rows) -> Rows:
    """Inputs of the population branch."""
    return squash(units)


def user_inputs(units: Rows, statistics: UserStatistics) -> Rows:
    """Inputs of the user branch."""
    return squash((units - statistics.mean) / statistics.spread)


def exact_reference(groups: list[Rows]) -> Reference:
    """Reference over users: mean of their means, mean of their spreads.

    Args:
        groups: one array of power-transformed rows per user, each with at least one row.
    """
    return Reference(
        np.mean([rows.mean(axis=0) for rows in groups], axis=0),
        np.mean([rows.std(axis=0) for rows in groups], axis=0),
    )


def coarse(reference: Reference) -> Reference:
    """What a device tells of its reference: spreads to a power of two, centres to half of that.

    Averages over devices stay accurate while one device's figures place its mean no better than
    a handful of clips would. A feature that never varies keeps less than 8 significant bits of
    its centre.
    """
    floor = np.abs(reference.centre) / 16
    grid = np.maximum(reference.spread, floor)
    unit = np.exp2(np.round(np.log2(np.where(grid > 0, grid, 1.0))))
    centre = np.round(2 * reference.centre / unit) * unit / 2
    spread = np.where(reference.spread > floor / 64, unit, 0.0)
    return Reference(np.where(grid > 0, centre, 0.0), np.where(grid > 0, spread, 0.0))
