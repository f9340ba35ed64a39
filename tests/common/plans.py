"""Federations of secure sums for tests."""

from __future__ import annotations

from common.settings import FederationPlan


def sum_plan(**changes: object) -> FederationPlan:
    """Two rounds of sums of three devices or more."""
    about: dict[str, object] = {
        "name": "sums",
        "rounds": 2,
        "epochs": 1,
        "learning_rate": 0.5,
        "l2": 0.01,
        "memory": 0,
        "seed": 3,
        "secure_sum": True,
        "smallest_sum": 3,
    }
    return FederationPlan(**{**about, **changes})  # type: ignore[arg-type]
