"""The solver and its leave-one-out against slow, obvious oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from client.personalisation.solver import (
    Labels,
    Problem,
    Rows,
    coordinates,
    leave_one_out,
    solve,
)


def made_up(
    clips: int, dimension: int, classes: int = 4, seed: int = 0
) -> tuple[Rows, Rows, Labels]:
    """Rows, offsets and labels."""
    chooser = np.random.default_rng(seed)
    labels = chooser.integers(classes, size=clips)
    offsets = chooser.normal(size=(clips, classes)) + 1.5 * np.eye(classes)[labels]
    return np.clip(chooser.normal(size=(clips, dimension)), -3, 3), offsets, labels


def problem_of(rows: Rows, offsets: Rows, labels: Labels, *strengths: float) -> Problem:
    every = np.repeat(offsets[None], len(strengths), axis=0)
    return Problem(coordinates(rows), labels, every, np.array(strengths))


def slopes(problem: Problem, rows: Rows, weights: Rows) -> Rows:
    """(priors,) largest entry of the gradient in the rows' own dimensions: 0 at the minimum."""
    full = problem.clips.basis @ weights
    wrong = softmax(problem.offsets + rows @ full, axis=2) - problem.targets
    gradient = rows.T @ wrong + problem.strengths[:, None, None] * full
    return np.asarray(np.abs(gradient).max(axis=(1, 2)))


@settings(max_examples=60, deadline=None)
@given(
    clips=st.integers(1, 20),
    dimension=st.integers(1, 30),
    classes=st.integers(2, 8),
    strength=st.floats(0.02, 20),
    seed=st.integers(0, 1000),
)
def test_it_is_the_minimum_under_every_prior(
    clips: int, dimension: int, classes: int, strength: float, seed: int
) -> None:
    rows, offsets, labels = made_up(clips, dimension, classes, seed)
    problem = problem_of(rows, offsets, labels, strength, 1.0, 7 * strength)
    assert slopes(problem, rows, solve(problem)).max() < 1e-5


@pytest.mark.parametrize(("clips", "dimension"), [(1, 3), (3, 5), (6, 2), (12, 3)])
def test_the_same_as_a_slow_solver(clips: int, dimension: int) -> None:
    rows, offsets, labels = made_up(clips, dimension, seed=clips)

    def loss(flat: Rows) -> float:
        weight = flat.reshape(dimension, 4)
        scores = log_softmax(offsets + rows @ weight, axis=1)
        return float(0.35 * flat @ flat - scores[np.arange(clips), labels].sum())

    slow = minimize(loss, np.zeros(4 * dimension), method="BFGS", options={"gtol": 1e-6})
    problem = problem_of(rows, offsets, labels, 0.7)
    found = problem.clips.basis @ solve(problem)[0]
    np.testing.assert_allclose(found.ravel(), slow.x, atol=2e-4)


def test_priors_solved_together_are_as_solved_alone() -> None:
    rows, offsets, labels = made_up(9, 5)
    together = solve(problem_of(rows, offsets, labels, 0.1, 1.0, 50.0))
    for index, strength in enumerate((0.1, 1.0, 50.0)):
        alone = solve(problem_of(rows, offsets, labels, strength))[0]
        np.testing.assert_allclose(together[index], alone, atol=1e-6)


@pytest.mark.parametrize("dimension", [2, 40])
def test_leaving_one_out_is_near_solving_without_it(dimension: int) -> None:
    rows, offsets, labels = made_up(16, dimension, seed=3)
    problem = problem_of(rows, offsets, labels, 0.5, 2.0)
    quick = log_softmax(leave_one_out(problem, solve(problem)), axis=2)
    for clip in range(16):
        others = [index for index in range(16) if index != clip]
        less = problem_of(rows[others], offsets[others], labels[others], 0.5, 2.0)
        full = less.clips.basis @ solve(less)
        slow = log_softmax(offsets[clip] + rows[clip] @ full, axis=1)
        seen = log_softmax(problem.scores(solve(problem))[:, clip], axis=1)
        label = labels[clip]
        for prior in range(2):
            missed = abs(quick[prior, clip, label] - slow[prior, label])
            assert missed <= 0.15 * abs(seen[prior, label] - slow[prior, label]) + 0.02


def test_leaving_the_only_clip_out_leaves_the_offset() -> None:
    rows, offsets, labels = made_up(1, 6)
    problem = problem_of(rows, offsets, labels, 0.5)
    found = log_softmax(leave_one_out(problem, solve(problem))[0], axis=1)
    np.testing.assert_allclose(found, log_softmax(offsets, axis=1), atol=0.3)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4)])
def test_coordinates_keep_all_products(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).normal(size=shape)
    found = coordinates(rows)
    np.testing.assert_allclose(found.values @ found.values.T, rows @ rows.T, atol=1e-10)
    np.testing.assert_allclose(found.values, rows @ found.basis, atol=1e-10)
    np.testing.assert_allclose((found.values**2).sum(axis=0), found.squares, rtol=1e-8)


@pytest.mark.parametrize("rows", [np.zeros((3, 4)), np.zeros((4, 3)), np.ones((5, 2))])
def test_rows_that_do_not_span(rows: Rows) -> None:
    labels = np.arange(len(rows)) % 3
    problem = problem_of(rows, np.zeros((len(rows), 3)), labels, 1.0)
    weights = solve(problem)
    assert weights.shape == (1, int(np.linalg.matrix_rank(rows)), 3)
    assert np.isfinite(leave_one_out(problem, weights)).all()
