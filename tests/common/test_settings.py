"""A federation's plan: ranges, and what a server may send as one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError
from common.heads.training import TrainingSettings
from common.settings import FederationPlan
from common.strategies import STRATEGIES

GOOD: dict[str, Any] = {
    "name": "fold-1",
    "rounds": 30,
    "epochs": 2,
    "learning_rate": 0.5,
    "l2": 0.01,
    "memory": 10,
    "seed": 3,
    "evaluate": True,
}


def test_a_plan_is_read_back() -> None:
    plan = FederationPlan(**GOOD)
    assert FederationPlan.from_json(plan.to_json()) == plan
    assert "\n" not in plan.to_json()
    assert plan.training == TrainingSettings(epochs=2, learning_rate=0.5, l2=0.01)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_fedprox_alone_has_a_proximal_term(strategy: str) -> None:
    mu = 0.5 if strategy == "fedprox" else 0.0
    plan = FederationPlan(**GOOD, strategy=strategy, proximal_mu=mu)
    assert (plan.strategy, plan.training.proximal_mu) == (strategy, mu)
    with pytest.raises(UsageError, match="above 0 with fedprox, else 0"):
        FederationPlan(**GOOD, strategy=strategy, proximal_mu=0.5 - mu)


def test_the_edges_of_the_ranges_are_inside() -> None:
    FederationPlan(**{**GOOD, "rounds": 1, "epochs": 1, "l2": 0, "memory": 0, "name": "a"})
    most = {"rounds": 100_000, "epochs": 10_000, "memory": 50, "name": "a-9" * 13 + "z"}
    FederationPlan(**{**GOOD, **most})


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("rounds", 0, "rounds"),
        ("rounds", 100_001, "rounds"),
        ("rounds", 2.5, "rounds"),
        ("rounds", True, "rounds"),
        ("rounds", "3", "rounds"),
        ("epochs", 0, "local-epochs"),
        ("epochs", 10_001, "local-epochs"),
        ("learning_rate", 0.0, "learning-rate"),
        ("learning_rate", float("nan"), "learning-rate"),
        ("learning_rate", float("inf"), "learning-rate"),
        ("learning_rate", 10**400, "learning-rate"),
        ("learning_rate", True, "learning-rate"),
        ("l2", -0.1, "l2"),
        ("l2", float("inf"), "l2"),
        ("l2", float("nan"), "l2"),
        ("memory", -1, "memory"),
        ("memory", 51, "memory"),
        ("memory", 1.0, "memory"),
        ("seed", "x", "seed"),
        ("evaluate", 1, "evaluate"),
        ("strategy", "fedsgd", "strategy"),
        ("strategy", None, "strategy"),
        ("proximal_mu", 0.1, "proximal-mu"),
        ("proximal_mu", -0.1, "proximal-mu"),
        ("server_learning_rate", -1.0, "server-learning-rate"),
        ("server_learning_rate", float("inf"), "server-learning-rate"),
        ("trim", 0.5, "trim"),
        ("trim", -0.1, "trim"),
        ("clients_per_round", 1.5, "clients-per-round"),
        ("clients_per_round", -1, "clients-per-round"),
        ("clients_per_round", float("nan"), "clients-per-round"),
        ("dropout", 1.0, "dropout"),
        ("dropout", -0.1, "dropout"),
        ("dropout", True, "dropout"),
        ("name", "", "name"),
        ("name", "a" * 41, "name"),
        ("name", "Fold", "name"),
        ("name", "../up", "name"),
        ("name", "fold-1\n", "name"),
        ("name", 5, "name"),
    ],
)
def test_a_value_out_of_range_is_named(key: str, value: object, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        FederationPlan(**{**GOOD, key: value})
    with pytest.raises(UsageError, match=told):
        FederationPlan.from_json(json.dumps({**GOOD, key: value}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "not json",
        json.dumps({**GOOD, "more": 1}),
        json.dumps({key: value for key, value in GOOD.items() if key != "rounds"}),
        "[" * 100_000,
    ],
    ids=["empty", "null", "list", "bare", "text", "unknown key", "missing key", "deep"],
)
def test_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="plan could not be read"):
        FederationPlan.from_json(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


@given(st.sampled_from(sorted(GOOD)), anything)
def test_any_value_of_any_key_is_read_back_or_refused(key: str, value: object) -> None:
    try:
        plan = FederationPlan.from_json(json.dumps({**GOOD, key: value}))
    except UsageError:
        return
    assert FederationPlan.from_json(plan.to_json()) == plan
