"""Standardisation: the shape of each function, its edges, and what `coarse` lets through."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from common.heads.standardise import (
    SMALLEST_SPREAD,
    SQUASH_LIMIT,
    Reference,
    UserStatistics,
    coarse,
    exact_reference,
    population_inputs,
    power,
    squash,
    to_units,
    user_inputs,
    user_statistics,
)

Rows = npt.NDArray[np.float64]
numbers = st.floats(-1e30, 1e30)
modest = st.floats(-1e6, 1e6)
tables = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=modest)


@given(numbers, numbers)
def test_power_is_an_odd_increasing_square_root(one: float, two: float) -> None:
    first, second = power([[one, two]])[0]
    assert power([[-one]])[0, 0] == -first
    assert math.isclose(first * abs(first), one, rel_tol=1e-12, abs_tol=1e-300)
    if one < two:
        assert first <= second


def test_power_of_integers_of_a_number_and_of_nothing() -> None:
    assert power(np.array([[0, 4, -9]])).tolist() == [[0.0, 2.0, -3.0]]
    assert power(np.array([[4]], np.uint8)).tolist() == [[2.0]]
    assert power(25).tolist() == 5.0
    assert power(np.zeros((0, 3))).shape == (0, 3)


@given(numbers, numbers)
def test_squash_is_odd_increasing_and_bounded(one: float, two: float) -> None:
    first, second = squash(np.array([one, two]))
    assert squash(np.array([-one]))[0] == -first
    assert abs(first) <= SQUASH_LIMIT
    assert abs(first) <= abs(one) * (1 + 1e-15)
    if one < two:
        assert first <= second


def test_squash_is_the_identity_near_zero_and_bounds_infinity() -> None:
    small = np.linspace(-0.01, 0.01, 21)
    np.testing.assert_allclose(squash(small), small, rtol=1e-5)
    assert squash(np.array([np.inf, -np.inf])).tolist() == [SQUASH_LIMIT, -SQUASH_LIMIT]


def test_units_are_distances_from_the_centre_in_spreads() -> None:
    reference = Reference(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, 2.0]))
    found = to_units(np.array([[2.0, 2.5, 3.0]]), reference)
    assert found.tolist() == [[2.0, 0.5, 0.0]]


@given(tables, st.integers(0, 1000))
def test_statistics_of_anything_are_sane(units: Rows, clips: int) -> None:
    found = user_statistics(units, clips)
    assert 0 <= found.trust <= 1
    assert found.mean.shape == found.spread.shape == (units.shape[1],)
    assert np.isfinite(found.mean).all()
    assert (found.spread >= SMALLEST_SPREAD).all()
    assert np.isfinite(user_inputs(units, found)).all()
    assert np.abs(user_inputs(units, found.shrunk())).max() <= SQUASH_LIMIT


def test_statistics_by_hand() -> None:
    found = user_statistics(np.array([[0.0, 1.0], [1.0, 1.0]]), 2)
    assert found.mean.tolist() == [0.5, 1.0]
    assert found.spread.tolist() == [0.5, SMALLEST_SPREAD]
    assert found.trust == pytest.approx(2 / 3 * (0.5 * math.sqrt(2) / 2) ** 2)


@pytest.mark.parametrize("units", [np.zeros((0, 3)), np.ones((4, 3))])
def test_no_clips_are_not_trusted(units: Rows) -> None:
    found = user_statistics(units, 0)
    assert found.trust == 0
    assert found.mean.tolist() == [0.0] * 3
    assert found.spread.tolist() == [1.0] * 3


def test_no_rows_are_not_trusted() -> None:
    assert user_statistics(np.zeros((0, 3)), 2).trust == 0


def test_a_single_pooled_clip_is_not_trusted() -> None:
    """One row has no spread, so it says nothing of how far this face moves."""
    assert user_statistics(np.array([[5.0, -1.0]]), 1).trust == 0


def test_clips_that_never_vary_are_not_trusted() -> None:
    found = user_statistics(np.full((50, 3), 2.0), 50)
    assert found.trust == 0
    assert found.spread.tolist() == [SMALLEST_SPREAD] * 3


def test_trust_grows_with_the_number_of_clips_drawn_alike() -> None:
    """The mean over many draws; for fixed rows the small-sample correction may outweigh."""
    random = np.random.default_rng(0)
    means = []
    for clips in (1, 2, 3, 4, 8, 16, 64):
        draws = random.normal(size=(300, clips, 8))
        means.append(np.mean([user_statistics(units, clips).trust for units in draws]))
    assert means == sorted(means)
    assert means[0] == 0
    assert means[-1] > 0.75


@given(st.integers(2, 100), st.floats(0.0, 1.0))
def test_trust_grows_with_the_spread(clips: int, smaller: float) -> None:
    units = np.random.default_rng(clips).normal(size=(clips, 4))
    assert user_statistics(smaller * units, clips).trust <= user_statistics(units, clips).trust


def test_trust_never_reads_where_the_user_lies() -> None:
    units = np.random.default_rng(1).normal(size=(10, 4))
    moved = user_statistics(units + 7.0, 10)
    assert moved.trust == pytest.approx(user_statistics(units, 10).trust)


@given(st.floats(0, 1))
def test_shrinking_goes_from_the_population_to_the_user(trust: float) -> None:
    own = UserStatistics(np.array([2.0, -4.0]), np.array([0.5, 3.0]), trust)
    found = own.shrunk()
    np.testing.assert_allclose(found.mean, [2 * trust, -4 * trust])
    np.testing.assert_allclose(found.spread, [1 - trust / 2, 1 + 2 * trust])
    assert found.trust == trust


def test_a_users_own_clips_have_mean_0_and_spread_1_as_inputs() -> None:
    units = 0.1 * np.random.default_rng(2).normal(size=(500, 3)) + 4.0
    own = UserStatistics(units.mean(axis=0), units.std(axis=0), 1.0)
    inputs = user_inputs(units, own)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(inputs.std(axis=0), 1, atol=0.2)
    np.testing.assert_array_equal(population_inputs(units), squash(units))


def test_the_exact_reference_gives_every_user_one_vote() -> None:
    many, few = np.array([[0.0], [2.0]] * 50), np.array([[10.0], [16.0]])
    found = exact_reference([many, few])
    assert found.centre.tolist() == [7.0]
    assert found.spread.tolist() == [2.0]


centres = st.just(0.0) | st.floats(1e-12, 1e15) | st.floats(-1e15, -1e-12)
references = st.tuples(centres, st.just(0.0) | st.floats(1e-12, 1e9))


@given(references)
def test_told_figures_lie_on_a_coarse_grid(pair: tuple[float, float]) -> None:
    centre, spread = pair
    found = coarse(Reference(np.array([centre]), np.array([spread])))
    told_centre, told_spread = float(found.centre[0]), float(found.spread[0])
    assert told_spread == 0 or math.frexp(told_spread)[0] == 0.5
    if told_spread:
        assert (2 * told_centre / told_spread).is_integer()
        assert abs(told_centre - centre) <= told_spread / 4 * (1 + 1e-9)
        assert (
            1 / math.sqrt(2) <= told_spread / max(spread, abs(centre) / 16) <= math.sqrt(2) + 1e-9
        )
    else:
        assert abs(told_centre - centre) <= abs(centre) / 32


def test_nothing_at_all_stays_nothing() -> None:
    found = coarse(Reference(np.zeros(3), np.zeros(3)))
    assert found.centre.tolist() == found.spread.tolist() == [0.0] * 3


markers = st.floats(1e-6, 1e6)


@given(markers, st.integers(4, 60))
def test_a_planted_constant_comes_out_as_a_few_bits_only(marker: float, rows: int) -> None:
    """What is told of it has fewer than 8 significant bits, of the value or of its root."""
    told = coarse(exact_reference([power(np.full((rows, 1), marker))]))
    values = [float(told.centre[0]), float(told.spread[0])]
    coarsely = [math.frexp(value)[0] * 2**8 for value in values]
    assert all(value.is_integer() for value in coarsely)
    assert told.spread[0] == 0


def test_one_octave_of_constants_is_told_as_few_values() -> None:
    markers = np.random.default_rng(3).uniform(1, 2, size=20_000) ** 2
    found = coarse(exact_reference([power(np.tile(markers, (5, 1)))]))
    assert len(np.unique(found.centre)) <= 33
    told = set(found.centre.tolist()) | set(found.spread.tolist())
    hits = sum(float(np.float32(m)) in told or float(np.sqrt(m)) in told for m in markers)
    assert hits == 0


def test_a_marker_in_one_frame_of_a_varying_feature_never_comes_out() -> None:
    rows = power(np.abs(np.random.default_rng(4).normal(size=(40, 200))))
    marker = 123.456
    rows[17] = math.sqrt(marker)
    found = coarse(exact_reference([rows]))
    told = np.concatenate([found.centre, found.spread])
    assert not np.isin(told, [marker, math.sqrt(marker)]).any()


def test_the_mean_over_many_users_is_near_the_exact_one() -> None:
    random = np.random.default_rng(5)
    places = random.normal(scale=2.0, size=(400, 1, 12))
    scales = np.exp(random.normal(scale=0.4, size=(400, 1, 12)))
    users = [
        place + scale * random.normal(size=(60, 12))
        for place, scale in zip(places, scales, strict=True)
    ]
    exact = exact_reference(users)
    told = [coarse(exact_reference([rows])) for rows in users]
    centre = np.mean([reference.centre for reference in told], axis=0)
    spread = np.mean([reference.spread for reference in told], axis=0)
    np.testing.assert_allclose(centre, exact.centre, atol=0.03 * float(exact.spread.mean()))
    np.testing.assert_allclose(spread, exact.spread, rtol=0.06)
