"""Streams depend on their coordinates and on nothing else."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.randomness import generator

BASE: dict[str, Any] = {"seed": 7, "purpose": "draw", "round": 1, "client": 2, "user": "anna"}
OTHERS: list[dict[str, Any]] = [
    BASE,
    {**BASE, "seed": 8},
    {**BASE, "seed": -7},
    {**BASE, "purpose": "drawn"},
    {**BASE, "purpose": "draw\x1f1"},
    {**BASE, "purpose": ""},
    {**BASE, "round": 2},
    {**BASE, "client": 3},
    {**BASE, "client": "2"},
    {**BASE, "client": 1, "round": 2},
    {**BASE, "user": "ann"},
    {**BASE, "user": 2, "client": "anna"},
    {**BASE, "user": "anna\x1f"},
    {**BASE, "round": 12, "client": ""},
]

coordinates = st.fixed_dictionaries(
    {
        "seed": st.integers(-(2**70), 2**70),
        "purpose": st.text(st.characters(codec="utf-8"), max_size=5),
        "round": st.integers(0, 3),
        "client": st.integers(0, 3) | st.text(max_size=3),
        "user": st.integers(0, 3) | st.text(max_size=3),
    }
)


def numbers(**place: Any) -> list[int]:
    result: list[int] = generator(**place).integers(2**63, size=4).tolist()
    return result


@settings(deadline=None, max_examples=50)
@given(coordinates)
def test_the_same_coordinates_give_the_same_stream(place: dict[str, Any]) -> None:
    assert numbers(**place) == numbers(**place)


@given(coordinates, coordinates)
def test_other_coordinates_give_another_stream(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert (numbers(**one) == numbers(**two)) == (one == two)


@pytest.mark.parametrize(("one", "two"), list(combinations(OTHERS, 2)))
def test_no_two_near_coordinates_share_a_stream(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert not set(numbers(**one)) & set(numbers(**two))


def test_the_order_of_calls_and_the_global_state_do_not_matter() -> None:
    forward = [numbers(**place) for place in OTHERS]
    np.random.seed(1)
    shared = generator(1, "other")
    backward = []
    for place in reversed(OTHERS):
        shared.integers(10)
        backward.append(numbers(**place))
    assert backward[::-1] == forward


def test_a_numpy_integer_is_the_integer_that_it_equals() -> None:
    plain = numbers(**{**BASE, "user": 5})
    numpy = {**BASE, "seed": np.int64(7), "round": np.int32(1), "client": np.int64(2)}
    assert numbers(**{**numpy, "user": np.uint8(5)}) == plain


def test_the_stream_stays_what_it_is() -> None:
    """A change of the hash or the bit generator would change every published figure."""
    import hashlib

    digest = hashlib.sha256(b"7\x1fdraw\x1f1\x1f2\x1f'anna'").digest()
    seed = int.from_bytes(digest[:16], "big")
    expected = np.random.Generator(np.random.PCG64(seed)).integers(2**63, size=4).tolist()
    assert numbers(**BASE) == expected
