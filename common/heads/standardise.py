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
    roots = np.asarray(np.abs(values))
    np.sqrt(roots, out=roots)
    return np.asarray(np.multiply(np.sign(values), roots, out=roots))


def squash(rows: Rows, out: Rows | None = None) -> Rows:
    """Odd, increasing, the identity near 0 and within +-`SQUASH_LIMIT` everywhere.

    `out` takes the result, as in NumPy; it may be `rows` itself.
    """
    scaled = np.asarray(np.divide(rows, SQUASH_LIMIT, out=out))
    np.tanh(scaled, out=scaled)
    return np.asarray(np.multiply(scaled, SQUASH_LIMIT, out=scaled))


def to_units(rows: Rows, reference: Reference) -> Rows:
    """Power-transformed rows in the reference's units: 0 at its centre, 1 its spread."""
    spread = np.where(reference.spread > 0, reference.spread, 1.0)
    centred = np.asarray(rows - reference.centre)
    return np.asarray(np.divide(centred, spread, out=centred))


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


def population_inputs(units: Rows, out: Rows | None = None) -> Rows:
    """Inputs of the population branch; `out` takes them, as in NumPy."""
    return squash(units, out)


def user_inputs(units: Rows, statistics: UserStatistics, out: Rows | None = None) -> Rows:
    """Inputs of the user branch; `out` takes them, as in NumPy."""
    centred = np.asarray(np.subtract(units, statistics.mean, out=out))
    np.divide(centred, statistics.spread, out=centred)
    return squash(centred, centred)


def own_scale(rows: Rows) -> tuple[Rows, Rows]:
    """A user's own mean and spread of (clips, dimension) rows: no population figure in them.

    A spread below `SMALLEST_SPREAD` of the user's median one is taken for this.
    """
    spread = rows.std(axis=0)
    floor = SMALLEST_SPREAD * float(np.median(spread)) + np.finfo(np.float64).eps
    return rows.mean(axis=0), np.maximum(spread, floor)


def own_units(rows: Rows, scale: tuple[Rows, Rows]) -> Rows:
    """Rows by a user's own mean and spread, squashed."""
    return squash((rows - scale[0]) / scale[1])


def within_expressions(own: Rows, labels: npt.NDArray[np.int64]) -> Rows:
    """(dimension, dimension) sum over clips of how one user's vary within expressions.

    Args:
        own: (clips, dimension) of one user, from `own_units`.
        labels: (clips,) expressions; one with a single clip adds nothing.
    """
    total = np.zeros((own.shape[1], own.shape[1]))
    for label in np.unique(labels):
        off = own[labels == label] - own[labels == label].mean(axis=0)
        total += off.T @ off
    return total


def coarse_scatter(total: Rows, clips: int) -> Rows:
    """What a device tells of its scatter: per clip, to a sixteenth.

    The whitening that is made of the fleet's mean does not notice; a device's own figure says no
    more than that two features move together strongly, weakly, or not.
    """
    return np.asarray(np.round(16 * total / max(clips, 1)) / 16)


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
