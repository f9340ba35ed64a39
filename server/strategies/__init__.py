"""Strategies by name: how a round's updates become the next universal head. One file each.

Names are Flower's. `fedavg` is the default; a plan's `strategy` chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from common.settings import FederationPlan
from common.strategies import FLEET_STRATEGIES, STRATEGIES
from server.strategies.fedadagrad import FedAdagrad
from server.strategies.fedadam import FedAdam
from server.strategies.fedavg import FedAvg
from server.strategies.fedavgm import FedAvgM
from server.strategies.fedmedian import FedMedian
from server.strategies.fedprox import FedProx
from server.strategies.fedtrimmedavg import FedTrimmedAvg
from server.strategies.fedyogi import FedYogi
from server.strategies.interface import Strategy
from server.strategies.krum import Krum
from server.strategies.multikrum import MultiKrum
from server.strategies.normclip import NormClip

__all__ = ["FLEET_STRATEGIES", "STRATEGIES", "strategy_of"]


def strategy_of(plan: FederationPlan) -> Strategy:
    """The strategy that a plan names, with the plan's settings or the strategy's own defaults."""
    return _MAKERS[plan.strategy](plan)


def _rate(plan: FederationPlan) -> dict[str, float]:
    given = plan.server_learning_rate
    return {"learning_rate": given} if given > 0 else {}


_MAKERS: Mapping[str, Callable[[FederationPlan], Strategy]] = {
    "fedavg": lambda plan: FedAvg(memory=plan.memory),
    "fedprox": lambda plan: FedProx(memory=plan.memory),
    "fedavgm": lambda plan: FedAvgM(**_rate(plan)),
    "fedadam": lambda plan: FedAdam(**_rate(plan)),
    "fedyogi": lambda plan: FedYogi(**_rate(plan)),
    "fedadagrad": lambda plan: FedAdagrad(**_rate(plan)),
    "fedmedian": lambda plan: FedMedian(),
    "fedtrimmedavg": lambda plan: FedTrimmedAvg(share=plan.trim),
    "krum": lambda plan: Krum(share=plan.trim),
    "multikrum": lambda plan: MultiKrum(share=plan.trim),
    "normclip": lambda plan: NormClip(),
}
