"""Multinomial logistic corrections, solved for many priors at once, and what they say of each clip.

For a prior j of strength `s_j` and offsets `o_j`, with clips' coordinates X:

    minimise over B  sum_i cross_entropy(o_ji + x_i B, y_i) + s_j / 2 * |B|^2.

Newton's method, whose steps are found by preconditioned conjugate gradients (Nocedal and Wright,
Numerical Optimization, 2006, section 7.1); all priors share every product, so that a grid of them
costs little more than one. What the solution for all clips but one would say of that one is taken
from a single Newton step off the solution for all (approximate leave-one-out: Rad and Maleki,
JRSS-B 82(4), 2020), with the classes' blocks as in Rasmussen and Williams, Gaussian Processes for
Machine Learning, 2006, algorithm 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, softmax

Rows = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

NEWTON_STEPS = 50
CONJUGATE_STEPS = 40
HALVINGS = 30
SLOPE = 1e-8
"""Newton ends where no entry of the gradient is above this."""
FORCING = 0.05
"""Conjugate gradients end where the residual is below this share of the slope."""


@dataclass(frozen=True)
class Coordinates:
    """Clips in an orthonormal basis of what they span.

    Attributes:
        values: (clips, rank); the columns are orthogonal.
        squares: (rank,) the columns' squared norms, all above 0.
        basis: (dimension, rank) orthonormal: `values = rows @ basis`.
    """

    values: Rows
    squares: Rows
    basis: Rows


def coordinates(rows: Rows) -> Coordinates:
    """Principal coordinates of (clips, dimension) rows, at least one clip; not centred."""
    if rows.shape[0] <= rows.shape[1]:
        squares, left = np.linalg.eigh(rows @ rows.T)
        kept = _kept(squares)
        squares, left = squares[kept], left[:, kept]
        return Coordinates(left * np.sqrt(squares), squares, rows.T @ (left / np.sqrt(squares)))
    squares, basis = np.linalg.eigh(rows.T @ rows)
    kept = _kept(squares)
    return Coordinates(rows @ basis[:, kept], squares[kept], basis[:, kept])


def _kept(squares: Rows) -> npt.NDArray[np.bool_]:
    return np.asarray(squares > 1e-12 * max(float(squares[-1]), 1e-300))


@dataclass(frozen=True)
class Problem:
    """Clips, labels and priors.

    Attributes:
        clips: (clips, rank) coordinates.
        labels: (clips,) in 0..classes-1.
        offsets: (priors, clips, classes).
        strengths: (priors,) above 0.
    """

    clips: Coordinates
    labels: Labels
    offsets: Rows
    strengths: Rows

    @property
    def targets(self) -> Rows:
        """(clips, classes) one-hot labels."""
        return np.asarray(np.eye(self.offsets.shape[2])[self.labels])

    def scores(self, weights: Rows) -> Rows:
        """(priors, clips, classes) logits at (priors, rank, classes) weights."""
        return np.asarray(self.offsets + self.clips.values @ weights)

    def select(self, priors: Sequence[int]) -> Problem:
        """The same clips under some of the priors."""
        chosen = list(priors)
        return Problem(self.clips, self.labels, self.offsets[chosen], self.strengths[chosen])


def solve(problem: Problem) -> Rows:
    """The minimisers, (priors, rank, classes)."""
    priors, _, classes = problem.offsets.shape
    weights = np.zeros((priors, problem.clips.values.shape[1], classes))
    value = _values(problem, weights)
    for _ in range(NEWTON_STEPS):
        shares = softmax(problem.scores(weights), axis=2)
        slope = _slope(problem, weights, shares)
        if np.abs(slope).max(initial=0.0) <= SLOPE:
            break
        step = _newton_step(problem, shares, slope)
        weights, lower = _descend(problem, weights, step, value)
        if not (lower < value).any():
            break
        value = lower
    return weights


def _values(problem: Problem, weights: Rows) -> Rows:
    """(priors,) values of the objective."""
    scores = log_softmax(problem.scores(weights), axis=2)
    loss = -scores[:, np.arange(len(problem.labels)), problem.labels].sum(axis=1)
    return np.asarray(loss + 0.5 * problem.strengths * np.square(weights).sum(axis=(1, 2)))


def _slope(problem: Problem, weights: Rows, shares: Rows) -> Rows:
    pull = problem.clips.values.T @ (shares - problem.targets)
    return np.asarray(pull + problem.strengths[:, None, None] * weights)


def _newton_step(problem: Problem, shares: Rows, slope: Rows) -> Rows:
    """Solve curvature @ step = -slope, to `FORCING` of the slope, all priors side by side."""
    values, strengths = problem.clips.values, problem.strengths[:, None, None]
    mean = (shares * (1 - shares)).mean(axis=1)[:, None, :]
    scale = 1 / (problem.clips.squares[:, None] * mean + strengths)
    step, residual = np.zeros_like(slope), -slope
    scaled = scale * residual
    direction, product = scaled, _dot(residual, scaled)
    enough = FORCING**2 * product
    for _ in range(CONJUGATE_STEPS):
        moved = values @ direction
        moved = shares * (moved - (shares * moved).sum(axis=2, keepdims=True))
        bent = values.T @ moved + strengths * direction
        length = product / np.maximum(_dot(direction, bent), np.finfo(np.float64).tiny)
        step = step + length * direction
        residual = residual - length * bent
        scaled = scale * residual
        before, product = product, _dot(residual, scaled)
        if (product <= enough).all():
            break
        direction = scaled + product / np.maximum(before, np.finfo(np.float64).tiny) * direction
    return step


def _dot(one: Rows, other: Rows) -> Rows:
    return np.asarray((one * other).sum(axis=(1, 2), keepdims=True))


def _descend(problem: Problem, weights: Rows, step: Rows, value: Rows) -> tuple[Rows, Rows]:
    """The whole step, halved for each prior until its objective does not rise."""
    length = np.ones(len(value))
    for _ in range(HALVINGS):
        there = weights + length[:, None, None] * step
        reached = _values(problem, there)
        higher = reached > value
        if not higher.any():
            return there, reached
        length = np.where(higher, length / 2, length)
    stay = higher[:, None, None]
    return np.where(stay, weights, there), np.where(higher, value, reached)


def leave_one_out(problem: Problem, weights: Rows) -> Rows:
    """(priors, clips, classes) logits of each clip by the solution for all other clips.

    Args:
        problem: what was solved.
        weights: its solution.
    """
    return np.stack(
        [
            _leave_one_out(problem.clips.values, scores, problem.targets, float(strength))
            for scores, strength in zip(problem.scores(weights), problem.strengths, strict=True)
        ]
    )


def _leave_one_out(values: Rows, scores: Rows, targets: Rows, strength: float) -> Rows:
    classes = scores.shape[1]
    shares = softmax(scores, axis=1)
    spread = _spread(values, np.maximum(shares, 1e-12), strength)
    curvature = shares[:, :, None] * (np.eye(classes) - shares[:, None, :])
    without = np.linalg.solve(np.eye(classes) - curvature @ spread, (targets - shares)[..., None])
    return np.asarray(scores - (spread @ without)[..., 0])


def _spread(values: Rows, shares: Rows, strength: float) -> Rows:
    """(clips, classes, classes) posterior covariance of each clip's logits.

    With the kernel K = X X^T / s and the curvature blocks diag(p) - p p^T,
    E_c = (K + diag(p_c)^-1)^-1 and M = sum_c E_c, the block of classes c, d over clips is
    [c = d] (K - K E_c K) + K E_c M^-1 E_d K.
    """
    count = len(values)
    kernel = values @ values.T / strength
    roots = np.sqrt(shares.T)
    inner = np.eye(count) + roots[:, :, None] * kernel * roots[:, None, :]
    each = roots[:, :, None] * np.linalg.inv(inner) * roots[:, None, :]
    bound = each @ kernel
    factor = np.linalg.cholesky(each.sum(axis=0) + 1e-12 * np.eye(count))
    shared = np.linalg.solve(factor, np.hstack(list(bound))).reshape(count, len(roots), count)
    mixed = shared.transpose(2, 1, 0) @ shared.transpose(2, 0, 1)
    alone = np.diag(kernel)[None] - (kernel[None] * bound.transpose(0, 2, 1)).sum(axis=2)
    return np.asarray(mixed + alone.T[:, :, None] * np.eye(len(roots)))
