"""Requests: read back as they were, and each way to be none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from common.errors import WorkError
from common.heads.specification import KINDS
from common.heads.universal import initial_head
from common.messages import Request, read_request
from common.settings import FederationPlan
from common.update import MAX_ROUND
from tests.common.updates import specification

OWN = specification()
PLAN = FederationPlan(
    name="fold-1", rounds=3, epochs=1, learning_rate=1.0, l2=0.01, memory=2, seed=0
)
ARRAY = "population.weight"


def numbers(**change: Any) -> dict[str, Any]:
    request = Request(PLAN, "head", 2, initial_head(OWN, 0))
    return {**request.numbers(), **change}


def arrays(**change: Any) -> dict[str, Any]:
    return {**initial_head(OWN, 0).arrays, **change}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("stage", "round_"), [("reference", 0), ("head", 1), ("evaluate", 9)])
def test_a_request_is_read_back(kind: str, stage: str, round_: int) -> None:
    own = specification(kind)
    request = Request(PLAN, stage, round_, initial_head(own, 5))
    found = read_request(request.numbers(), request.head.arrays, own)
    assert (found.plan, found.stage, found.round) == (PLAN, stage, round_)
    assert found.head.specification == own
    for name, array in request.head.arrays.items():
        np.testing.assert_array_equal(found.head.arrays[name], array)


@pytest.mark.parametrize("value", [None, 3, "{}", specification(dimension=4).to_json()])
def test_another_specification_is_refused(value: object) -> None:
    with pytest.raises(WorkError, match="another head"):
        read_request(numbers(specification=value), arrays(), OWN)


@pytest.mark.parametrize("value", [None, "", "train", "HEAD", 1, ["head"]])
def test_an_unknown_stage_is_refused(value: object) -> None:
    with pytest.raises(WorkError, match="unknown stage"):
        read_request(numbers(stage=value), arrays(), OWN)


@pytest.mark.parametrize("value", [None, -1, MAX_ROUND + 1, 1.0, True, "1", [1]])
def test_a_round_out_of_range_is_refused(value: object) -> None:
    with pytest.raises(WorkError, match="round is not a number in range"):
        read_request(numbers(round=value), arrays(), OWN)


@pytest.mark.parametrize("key", ["specification", "stage", "round", "plan"])
def test_a_missing_number_is_refused(key: str) -> None:
    given = numbers()
    del given[key]
    with pytest.raises(WorkError):
        read_request(given, arrays(), OWN)


@pytest.mark.parametrize("value", [None, "", "{}", "null", 7, PLAN.to_json().replace("3", "0")])
def test_a_bad_plan_is_refused(value: object) -> None:
    with pytest.raises(WorkError, match="the server's plan is none"):
        read_request(numbers(plan=value), arrays(), OWN)


def test_a_missing_array_is_refused() -> None:
    given = arrays()
    del given[ARRAY]
    with pytest.raises(WorkError, match="does not have the specification's arrays"):
        read_request(numbers(), given, OWN)


def test_an_extra_array_is_refused() -> None:
    with pytest.raises(WorkError, match="does not have the specification's arrays"):
        read_request(numbers(), arrays(more=np.zeros(1, np.float32)), OWN)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3)),
        np.zeros((2, 3), np.int32),
        np.zeros((2, 3), ">f4"),
        np.zeros((3, 2), np.float32),
        np.zeros(6, np.float32),
        np.zeros((), np.float32),
        np.full((2, 3), np.nan, np.float32),
        np.full((2, 3), np.inf, np.float32),
    ],
    ids=["float64", "integers", "big-endian", "turned", "flat", "0-d", "nan", "inf"],
)
def test_a_bad_array_is_refused_by_name(array: Any) -> None:
    with pytest.raises(WorkError, match=f"array {ARRAY} is not finite float32"):
        read_request(numbers(), arrays(**{ARRAY: array}), OWN)
