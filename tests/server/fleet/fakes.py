"""Rounds over a hand-written fleet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.heads.universal import UniversalHead
from common.settings import FederationPlan
from server.fleet.rounds import RoundRules, Rounds
from tests.server.fakes import SPECIFICATION, FakeFleet, plan, sends


def plan_of(strategy: str, **changes: object) -> FederationPlan:
    proximal = {"proximal_mu": 0.1} if strategy == "fedprox" else {}
    return plan(strategy=strategy, memory=3, **proximal, **changes)


def rounds(folder: Path, wanted: FederationPlan, *devices: Callable[..., object]) -> Rounds:
    fleet = FakeFleet(*(devices or (sends(1.0, clips=3), sends(5.0))))  # type: ignore[arg-type]
    rules = RoundRules(quorum=2, tries=2, patience=0.0)
    return Rounds(fleet, SPECIFICATION, wanted, folder, rules)


def same(one: UniversalHead, other: UniversalHead) -> bool:
    return all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
