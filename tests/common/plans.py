"""Federations of secure sums for tests."""

from __future__ import annotations

from common.settings import FederationPlan
from tests.server.fakes import plan


def sum_plan(**changes: object) -> FederationPlan:
    """Two rounds of sums of three devices or more."""
    about = {"name": "sums", "learning_rate": 0.5, "seed": 3, "secure_sum": True, "smallest_sum": 3}
    return plan(**{**about, **changes})
