"""Names, shapes and numbers that both sides must agree on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from common.errors import UsageError
from common.heads.specification import KINDS, STAGES, WIDEST_SCATTER, HeadSpecification

GOOD: dict[str, Any] = {"kind": "self-attention", "dimension": 5, "features": "test"}
HEAD = HeadSpecification(**GOOD)

BRANCHES: dict[str, dict[str, tuple[int, ...]]] = {
    "logistic": {"weight": (8, 5), "bias": (8,)},
    "single-attention": {"query": (5,), "weight": (8, 5), "bias": (8,)},
    "self-attention": {
        "query_projection": (5, 16),
        "key_projection": (5, 16),
        "query": (16,),
        "weight": (8, 5),
        "bias": (8,),
    },
}
BRANCHES["self-attention-literal"] = BRANCHES["self-attention"]


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_their_order(kind: str) -> None:
    head = HeadSpecification(**{**GOOD, "kind": kind})
    branch = list(BRANCHES[kind].items())
    assert list(head.branch_shapes().items()) == branch
    reference = [("reference.centre", (5,)), ("reference.spread", (5,))]
    both = [(f"{side}.{name}", shape) for side in ("population", "user") for name, shape in branch]
    assert list(head.shapes("reference").items()) == reference
    assert list(head.shapes("head").items()) == both
    assert list(head.all_shapes().items()) == reference + both


def test_a_scatter_belongs_to_the_reference_where_it_is_asked_for() -> None:
    asked = HeadSpecification(**GOOD, scatter=True)
    assert list(asked.shapes("reference"))[:2] == list(HEAD.shapes("reference"))
    assert asked.shapes("reference")["reference.scatter"] == (5, 5)
    assert asked.shapes("head") == HEAD.shapes("head")
    assert asked.number != HEAD.number
    assert HeadSpecification.from_json(asked.to_json()) == asked


def test_a_specification_of_before_has_no_scatter() -> None:
    old = {k: v for k, v in json.loads(HEAD.to_json()).items() if k != "scatter"}
    assert HeadSpecification.from_json(json.dumps(old)) == HEAD


@pytest.mark.parametrize(("dimension", "scatter"), [(WIDEST_SCATTER + 1, True), (5, 1)])
def test_a_scatter_of_wide_features_is_refused(dimension: int, scatter: Any) -> None:
    with pytest.raises(UsageError, match="scatter"):
        HeadSpecification(**{**GOOD, "dimension": dimension}, scatter=scatter)
    assert HeadSpecification(**{**GOOD, "dimension": WIDEST_SCATTER}, scatter=True).scatter


@pytest.mark.parametrize("stage", ["", "evaluate", "Head"])
def test_other_stages_have_no_shapes(stage: str) -> None:
    assert stage not in STAGES
    with pytest.raises(KeyError):
        HEAD.shapes(stage)


def test_the_number_is_the_digests_first_53_bits() -> None:
    text = json.dumps(dataclasses.asdict(HEAD), sort_keys=True)
    bits = bin(int(hashlib.sha256(text.encode()).hexdigest(), 16) | 1 << 256)[3:]
    assert HEAD.number == int(bits[:53], 2)
    assert int(float(HEAD.number)) == HEAD.number


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "logistic"},
        {"dimension": 6},
        {"features": "other"},
        {"classes": 7},
        {"pooling": "mean"},
        {"key_dimension": 8},
        {"version": 2},
    ],
)
def test_any_difference_changes_the_number(change: dict[str, Any]) -> None:
    assert set(change) < {field.name for field in dataclasses.fields(HeadSpecification)}
    assert HeadSpecification(**{**GOOD, **change}).number != HEAD.number


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "linear"),
        ("kind", None),
        ("pooling", "sum"),
        ("dimension", 0),
        ("dimension", -5),
        ("dimension", 2.5),
        ("dimension", True),
        ("dimension", "5"),
        ("key_dimension", 0),
        ("key_dimension", 1.0),
        ("classes", 1),
        ("classes", 8.0),
        ("version", "1"),
        ("features", 3),
    ],
)
def test_a_value_out_of_range_is_refused(key: str, value: object) -> None:
    with pytest.raises(UsageError):
        HeadSpecification(**{**GOOD, key: value})
    with pytest.raises(UsageError):
        HeadSpecification.from_json(json.dumps({**GOOD, key: value}))


def test_a_specification_is_read_back() -> None:
    assert HeadSpecification.from_json(HEAD.to_json()) == HEAD
    assert "\n" not in HEAD.to_json()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "x",
        json.dumps({**GOOD, "more": 1}),
        '{"kind": "logistic"}',
        "[" * 10**5,
    ],
    ids=["empty", "null", "list", "bare", "text", "unknown key", "missing key", "deep"],
)
def test_text_that_is_no_specification_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="could not be read"):
        HeadSpecification.from_json(text)
