import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulations.actors.curves import closed_curve, lowered, mirrored, open_curve

points = arrays(
    np.float64, st.tuples(st.integers(3, 7), st.just(2)), elements=st.floats(-2, 2, width=32)
)


@given(points, st.integers(1, 9))
def test_open_curve_passes_through_its_points(given_points, samples):
    curve = open_curve(given_points, samples)
    assert curve.shape == (samples * (len(given_points) - 1) + 1, 2)
    np.testing.assert_allclose(curve[::samples], given_points, atol=1e-9)


@given(points, st.integers(1, 9))
def test_closed_curve_passes_through_its_points(given_points, samples):
    curve = closed_curve(given_points, samples)
    assert curve.shape == (samples * len(given_points), 2)
    np.testing.assert_allclose(curve[::samples], given_points, atol=1e-9)


def test_straight_points_give_a_straight_curve():
    curve = open_curve([(0, 0), (1, 2), (2, 4), (3, 6)])
    np.testing.assert_allclose(curve[:, 1], 2 * curve[:, 0], atol=1e-12)


def test_mirrored_outline_is_symmetric():
    outline = mirrored([(1, -1), (2, 0), (1, 1)])
    assert sorted(map(tuple, outline)) == sorted((-x, y) for x, y in outline)


def test_lowered_moves_down_only():
    np.testing.assert_array_equal(lowered(np.array([[1.0, 2.0]]), 0.5), [[1.0, 2.5]])


def test_one_point_is_no_curve():
    with pytest.raises(IndexError):
        open_curve([(0, 0)])
