"""Clipping: the bound holds exactly, and every odd case is what the module says."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from common.errors import UsageError
from common.privacy.clipping import EQUAL_WEIGHT, NotClippable, clip_arrays, clip_update, norm_of
from tests.common.updates import specification, update_for

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
UPDATES = st.dictionaries(
    st.sampled_from("abc"), arrays_of.arrays(np.float32, SHAPES, elements=FLOATS), max_size=3
)


def square_of(arrays: dict[str, Any]) -> Fraction:
    """The squared norm, without any rounding."""
    entries = [value for array in arrays.values() for value in np.asarray(array).ravel().tolist()]
    return sum((Fraction(value) ** 2 for value in entries), start=Fraction(0))


@given(update=UPDATES, norm=st.floats(1e-3, 1e3))
def test_the_bound_is_exact_and_shapes_stay(update: dict[str, Any], norm: float) -> None:
    clipped = clip_arrays(update, norm)
    assert square_of(clipped) <= Fraction(norm) ** 2 * (1 + Fraction(1, 10**14))
    assert {n: (a.shape, a.dtype) for n, a in clipped.items()} == {
        n: (a.shape, np.dtype(np.float32)) for n, a in update.items()
    }


@given(update=UPDATES, norm=st.floats(1e-3, 1e3))
def test_what_is_short_enough_keeps_its_values(update: dict[str, Any], norm: float) -> None:
    if square_of(update) < Fraction(norm) ** 2 * Fraction(99, 100):
        for name, array in clip_arrays(update, norm).items():
            np.testing.assert_array_equal(array, update[name])


@given(update=UPDATES, norm=st.floats(1e-3, 1e3))
def test_what_is_longer_ends_at_the_bound_in_its_direction(
    update: dict[str, Any], norm: float
) -> None:
    if square_of(update) > Fraction(norm) ** 2:
        clipped, length = clip_arrays(update, norm), norm_of(update)
        assert norm_of(clipped) == pytest.approx(norm, rel=1e-5)
        for name, array in clipped.items():
            expected = np.asarray(update[name], np.float64) / length * norm
            np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-30)


def test_all_arrays_are_one_vector() -> None:
    clipped = clip_arrays({"a": np.array([3.0]), "b": np.array([[4.0]])}, 1.0)
    assert clipped["a"][0] == pytest.approx(0.6)
    assert clipped["b"][0, 0] == pytest.approx(0.8)


def test_zero_stays_zero() -> None:
    clipped = clip_arrays({"a": np.zeros(3, np.float32)}, 1e-9)
    assert clipped["a"].tolist() == [0, 0, 0]


def test_empty_stays_empty() -> None:
    assert clip_arrays({}, 1.0) == {}
    assert clip_arrays({"a": np.zeros((0, 3), np.float32)}, 1.0)["a"].shape == (0, 3)


def test_an_array_without_dimensions_is_an_entry() -> None:
    clipped = clip_arrays({"a": np.array(-10.0, dtype=np.float32)}, 2.0)
    assert clipped["a"].shape == ()
    assert float(clipped["a"]) == pytest.approx(-2)
    assert float(clipped["a"]) >= -2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(NotClippable, match="not finite"):
        clip_arrays({"a": np.array([0.0, bad])}, 1.0)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.uint8])
def test_integers_are_refused(dtype: type) -> None:
    with pytest.raises(NotClippable, match="integers"):
        clip_arrays({"a": np.ones(2, dtype)}, 1.0)


@pytest.mark.parametrize("size", [1e38, 1e-38, 1e-45])
def test_largest_and_smallest_floats(size: float) -> None:
    update = {"a": np.full(4, size, dtype=np.float32)}
    assert norm_of(update) == pytest.approx(2 * float(np.float32(size)))
    assert norm_of(clip_arrays(update, 1.0)) <= 1.0


@pytest.mark.parametrize("norm", [0, -1, float("nan"), float("inf"), "1", None])
def test_a_norm_that_bounds_nothing_is_refused(norm: Any) -> None:
    with pytest.raises(UsageError, match="clip-norm"):
        clip_arrays({"a": np.ones(1)}, norm)


def test_an_update_is_clipped_as_a_whole_and_counts_as_one() -> None:
    update = update_for(specification(), clips=77)
    clipped = clip_update(update, 0.25)
    assert norm_of(dict(clipped.arrays)) == pytest.approx(0.25, rel=1e-5)
    assert clipped.clips == EQUAL_WEIGHT == 1
    assert (clipped.round, clipped.stage) == (update.round, update.stage)
    assert clip_update(update, 1e6).sha256 == update.sha256
