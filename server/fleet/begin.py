"""What a federation of a fleet is, from few words."""

from __future__ import annotations

from dataclasses import dataclass

from common.backbones.records import feature_spec
from common.backbones.registry import backbone_record
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


@dataclass(frozen=True, kw_only=True)
class Protection:
    """What the server is to learn of a round; see `common.settings.FederationPlan`.

    Attributes:
        secure_sum: whether it learns the sum of the devices' updates alone.
        smallest_sum: members without whom no sum is revealed.
        clip_norm: that updates are shortened to, 0 for none.
        noise_multiplier: of differential privacy, 0 for none.
    """

    secure_sum: bool = True
    smallest_sum: int = 10
    clip_norm: float = 0.0
    noise_multiplier: float = 0.0


def default_settings(
    *,
    backbone: str,
    head: str,
    strategy: str,
    quorum: int,
    deadline: float,
    over_sample: float = 0.0,
    protection: Protection | None = None,
    accept_leak: bool = False,
) -> FederationSettings:
    """Settings of a federation of heads on a backbone's features.

    Raises:
        UsageError: one of them is unknown or out of range, or the head should not be federated and
            `accept_leak` was not given.
    """
    asked = protection or Protection(secure_sum=False)
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
        secure_sum=asked.secure_sum,
        smallest_sum=asked.smallest_sum,
        clip_norm=asked.clip_norm,
        noise_multiplier=asked.noise_multiplier,
    )
    rules = RoundRules(quorum=quorum, tries=TRIES)
    return FederationSettings(
        specification=specification,
        plan=plan,
        rules=rules,
        deadline=deadline,
        over_sample=over_sample,
        accept_leak=accept_leak,
    )
