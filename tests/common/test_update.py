"""What is an update, what is not, and that all reasons are told at once."""

from __future__ import annotations

import hashlib
import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import WorkError
from common.heads.specification import KINDS, STAGES
from common.update import (
    MAX_CLIPS,
    MAX_ROUND,
    Fault,
    HeadUpdate,
    NotAnUpdate,
    Problem,
    problems,
)
from tests.common.updates import arrays_for, specification, update_for

HEAD = specification()
NAME = "user.weight"


def faults(arrays: dict[str, Any], stage: str = "head") -> list[tuple[Fault, str]]:
    return [(problem.fault, problem.where) for problem in problems(HEAD, stage, arrays)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
def test_the_arrays_of_a_stage_are_an_update(kind: str, stage: str) -> None:
    head = specification(kind)
    assert problems(head, stage, arrays_for(head, stage)) == ()
    assert update_for(head, stage).stage == stage


def with_value(value: float) -> npt.NDArray[np.float32]:
    array = np.zeros((2, 3), np.float32)
    array[1, 2] = value
    return array


BAD_VALUES: list[tuple[str, object, Fault]] = [
    ("nan", with_value(math.nan), Fault.NOT_FINITE),
    ("inf", with_value(math.inf), Fault.NOT_FINITE),
    ("-inf", with_value(-math.inf), Fault.NOT_FINITE),
    ("float64", np.zeros((2, 3)), Fault.DTYPE),
    ("float16", np.zeros((2, 3), np.float16), Fault.DTYPE),
    ("integers", np.zeros((2, 3), np.int32), Fault.DTYPE),
    ("bool", np.zeros((2, 3), bool), Fault.DTYPE),
    ("objects", np.zeros((2, 3), object), Fault.DTYPE),
    ("big-endian", np.zeros((2, 3), ">f4"), Fault.DTYPE),
    ("list", [[0.0] * 3] * 2, Fault.DTYPE),
    ("number", 0.0, Fault.DTYPE),
    ("text", "0", Fault.DTYPE),
    ("0-d", np.float32(1), Fault.DTYPE),
    ("0-d array", np.zeros((), np.float32), Fault.SHAPE),
    ("turned", np.zeros((3, 2), np.float32), Fault.SHAPE),
    ("flat", np.zeros(6, np.float32), Fault.SHAPE),
    ("deeper", np.zeros((2, 3, 1), np.float32), Fault.SHAPE),
    ("empty", np.zeros((0, 3), np.float32), Fault.SHAPE),
    ("none", None, Fault.MISSING),
    ("masked nan", np.ma.masked_invalid(with_value(math.nan)), Fault.DTYPE),
]


@pytest.mark.parametrize(
    ("value", "fault"), [case[1:] for case in BAD_VALUES], ids=[case[0] for case in BAD_VALUES]
)
def test_one_bad_array_is_named_with_its_fault(value: object, fault: Fault) -> None:
    arrays: dict[str, Any] = {**arrays_for(HEAD, "head"), NAME: value}
    assert faults(arrays) == [(fault, NAME)]
    with pytest.raises(NotAnUpdate, match=f"{fault}: {NAME}"):
        HeadUpdate(specification=HEAD, stage="head", round=1, clips=4, arrays=arrays)


def test_all_faults_are_told_at_once() -> None:
    arrays: dict[str, Any] = {
        "secret-of-anna": np.zeros(1, np.float32),
        "another": None,
        "population.weight": with_value(math.nan),
        "population.bias": np.zeros(3, np.float32),
        "user.weight": np.zeros((2, 3)),
    }
    with pytest.raises(NotAnUpdate) as caught:
        HeadUpdate(specification=HEAD, stage="head", round=-1, clips=0, arrays=arrays)
    assert [(p.fault, p.where) for p in caught.value.problems] == [
        (Fault.UNKNOWN_NAME, "2 array(s)"),
        (Fault.NOT_FINITE, "population.weight"),
        (Fault.SHAPE, "population.bias"),
        (Fault.DTYPE, "user.weight"),
        (Fault.MISSING, "user.bias"),
        (Fault.NUMBER, "round"),
        (Fault.NUMBER, "clips"),
    ]
    assert isinstance(caught.value, WorkError)
    for problem in caught.value.problems:
        assert str(problem) in str(caught.value)
    assert {problem.fault for problem in caught.value.problems} == set(Fault)


@given(st.dictionaries(st.text(min_size=12, max_size=30), st.none(), min_size=1, max_size=4))
def test_unknown_names_are_never_repeated(extra: dict[str, None]) -> None:
    """The text is the same whatever they are called: a name could itself carry data."""
    plain = [f"extra {number}" for number in range(len(extra))]
    texts = []
    for names in (list(extra), plain):
        arrays: dict[str, Any] = {**arrays_for(HEAD, "head"), **dict.fromkeys(names)}
        with pytest.raises(NotAnUpdate) as caught:
            HeadUpdate(specification=HEAD, stage="head", round=1, clips=4, arrays=arrays)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert f"{len(extra)} array(s)" in texts[0]


def test_arrays_of_the_other_stage_are_refused() -> None:
    found = faults(dict(arrays_for(HEAD, "reference")))
    assert found[0] == (Fault.UNKNOWN_NAME, "2 array(s)")
    assert {fault for fault, _ in found[1:]} == {Fault.MISSING}


def test_no_arrays_at_all() -> None:
    assert faults({}) == [(Fault.MISSING, name) for name in HEAD.shapes("head")]


@pytest.mark.parametrize("stage", ["", "evaluate", "HEAD", "head "])
def test_another_stage_is_a_fault(stage: str) -> None:
    with pytest.raises(NotAnUpdate) as caught:
        HeadUpdate(specification=HEAD, stage=stage, round=1, clips=4, arrays={})
    assert caught.value.problems == (Problem(Fault.NUMBER, "stage"),)


@pytest.mark.parametrize("value", [-1, MAX_ROUND + 1, 1.0, 0.5, math.nan, True, "1", None])
def test_a_round_out_of_range(value: Any) -> None:
    with pytest.raises(NotAnUpdate) as caught:
        update_for(HEAD, round=value)
    assert caught.value.problems == (Problem(Fault.NUMBER, "round"),)


@pytest.mark.parametrize("value", [0, -1, MAX_CLIPS + 1, 1.5, math.inf, True, "4", None])
def test_clips_out_of_range(value: Any) -> None:
    with pytest.raises(NotAnUpdate) as caught:
        update_for(HEAD, clips=value)
    assert caught.value.problems == (Problem(Fault.NUMBER, "clips"),)


def test_the_edges_of_the_ranges_are_inside() -> None:
    for round_, clips in ((0, 1), (MAX_ROUND, MAX_CLIPS)):
        assert update_for(HEAD, round=round_, clips=clips).clips == clips


def hand_made() -> HeadUpdate:
    head = specification(dimension=1)
    arrays = {
        "user.bias": np.array([7.0, 8.0], np.float32),
        "user.weight": np.array([[5.0], [6.0]], np.float32),
        "population.bias": np.array([3.0, -0.5], np.float32),
        "population.weight": np.array([[1.0], [2.0]], np.float32),
    }
    return HeadUpdate(specification=head, stage="head", round=1, clips=4, arrays=arrays)


def test_the_payload_is_little_endian_in_the_specifications_order() -> None:
    expected = struct.pack("<8f", 1, 2, 3, -0.5, 5, 6, 7, 8)
    assert hand_made().payload == expected
    assert expected[:8] == b"\x00\x00\x80\x3f\x00\x00\x00\x40"
    assert hand_made().sha256 == hashlib.sha256(expected).hexdigest()


def test_the_digest_stays_what_it_is() -> None:
    assert hand_made().sha256 == (
        "887cc3a46ff31995ac6235c51cca9792d0e0e2f3af17c6f959e0347cf44c28ea"
    )


def test_the_payload_does_not_depend_on_memory_order() -> None:
    arrays = arrays_for(HEAD, "head")
    turned = {name: np.asfortranarray(array) for name, array in arrays.items()}
    one, two = (
        HeadUpdate(specification=HEAD, stage="head", round=1, clips=4, arrays=values)
        for values in (arrays, turned)
    )
    assert one.payload == two.payload


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(KINDS), st.integers(0, 2**31), st.integers(0, 2**31))
def test_other_values_have_another_digest(kind: str, one: int, two: int) -> None:
    head = specification(kind)
    first, second = update_for(head, seed=one), update_for(head, seed=two)
    assert len(first.payload) == 4 * sum(math.prod(s) for s in head.shapes("head").values())
    assert (first.sha256 == second.sha256) == (one == two)


def test_the_values_do_not_show_in_its_text() -> None:
    update = hand_made()
    assert "arrays" not in repr(update)
    assert "-0.5" not in repr(update)
