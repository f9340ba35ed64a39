"""What a federation of a fleet is, from few words."""

from __future__ import annotations

from common.backbones.records import backbone_record, feature_spec
from common.heads.specification import WIDEST_SCATTER, HeadSpecification
from common.heads.training import (
    ATTENTION_EPOCHS,
    ATTENTION_RATE,
    LOGISTIC_EPOCHS,
    LOGISTIC_RATE,
)
from common.settings import FederationPlan
from server.fleet.folder import FederationSettings
from server.fleet.rounds import RoundRules

L2 = 0.01
TRIES = 20


def default_settings(
    *, backbone: str, head: str, strategy: str, quorum: int, deadline: float
) -> FederationSettings:
    """Settings of a federation of heads on a backbone's features.

    Raises:
        UsageError: one of them is unknown or out of range.
    """
    record = backbone_record(backbone)
    specification = HeadSpecification(
        kind=head,
        dimension=record.dimension,
        features=feature_spec(record),
        scatter=record.dimension <= WIDEST_SCATTER,
    )
    logistic = head == "logistic"
    plan = FederationPlan(
        name="fleet",
        rounds=1,
        epochs=LOGISTIC_EPOCHS if logistic else ATTENTION_EPOCHS,
        learning_rate=LOGISTIC_RATE if logistic else ATTENTION_RATE,
        l2=L2,
        memory=0,  # devices come and go: no two rounds are steps of the same map
        seed=0,
        strategy=strategy,
    )
    rules = RoundRules(quorum=quorum, tries=TRIES)
    return FederationSettings(
        specification=specification, plan=plan, rules=rules, deadline=deadline
    )
