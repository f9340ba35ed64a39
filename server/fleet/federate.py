"""The fleet's rounds inside Flower's server process: devices asked, states published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from common.messages import Request
from common.releases import PrivacySpent
from common.settings import FederationPlan
from server.aggregation import ServerState
from server.authority.authority import Authority
from server.federation import Fleet, Replies
from server.fleet.announcing import HEAR_SECONDS, POLL_SECONDS, Herald
from server.fleet.check import release_metrics
from server.fleet.folder import FleetFolder
from server.fleet.introduced import introduced_by
from server.fleet.judge import Examiner
from server.fleet.oversampling import OverSampling
from server.fleet.rounds import Rounds, reports, with_rounds
from server.flower_adapter import FlowerFleet, TooFewDevices
from server.noising import privacy_record
from server.registry import Publication
from server.secure_aggregation.unfinished import FILE, OnDisk

FIRST_HEAD_ROUND = 1


class PatientFleet:
    """A fleet of which too few devices are connected now: that is no answer, not the end.

    Args:
        fleet: to be asked.
        before: called before each request, such as to bring the newest release to devices that
            connected since.
    """

    def __init__(self, fleet: Fleet, before: Callable[[], None] = lambda: None) -> None:
        self._fleet = fleet
        self._before = before

    def ask(self, request: Request) -> Replies:
        """As the fleet answers; nothing, with the reason, where too few are connected."""
        self._before()
        try:
            return self._fleet.ask(request)
        except TooFewDevices as error:
            return Replies((), 0, 0, (str(error),))


def serve(grid: object, root: Path) -> None:
    """What one run does: the wanted rounds; where none are due, the newest release is brought."""
    folder, authority = FleetFolder(root), Authority(root)
    herald = Herald(grid, authority.registry, folder.federation)
    if folder.rounds_due():
        federate(grid, folder, authority, herald)
        return
    herald.bring()
    herald.hear(HEAR_SECONDS, folder.rounds_due)


def federate(grid: object, folder: FleetFolder, authority: Authority, herald: Herald) -> None:
    """Go on with the federation in a fleet's folder until the wanted rounds are done."""
    settings, wanted = folder.settings(), folder.wanted()
    examiner = Examiner(folder.federation, lambda: _names(authority))
    fleet = FlowerFleet(
        grid,  # type: ignore[arg-type]
        devices=0,
        timeout=settings.deadline,
        poll=POLL_SECONDS,
        quorum=settings.rules.quorum,
        judge=examiner,
        left_out=examiner.left_out,
        over=OverSampling(settings.over_sample, settings.rules.quorum),
        unfinished=OnDisk(folder.federation / FILE),
        is_own=introduced_by(authority.devices),
    )

    def paused() -> bool:
        if not folder.wanted().paused:
            return False
        herald.bring()
        return True

    def publish(state: ServerState) -> None:
        if state.round > FIRST_HEAD_ROUND:  # the reference alone reads nothing
            metrics = release_metrics(folder.federation, state.head)
            spent = spent_on(settings.plan, reports(folder.federation))
            authority.publish(_publication(state, metrics, spent))
            herald.bring()

    rounds = Rounds(
        fleet=PatientFleet(fleet, herald.bring),
        specification=settings.specification,
        plan=with_rounds(settings.plan, wanted.rounds),
        folder=folder.federation,
        rules=settings.rules,
        paused=paused,
        publish=publish,
        reference=folder.reference(),
    )
    rounds.run()
    herald.hear(min(settings.deadline, HEAR_SECONDS))


def _names(authority: Authority) -> dict[str, str]:
    """The operator's names by node ids, as text."""
    return {str(each.node): each.name for each in authority.devices.all() if each.node is not None}


def spent_on(plan: FederationPlan, rounds: Iterable[Mapping[str, Any]]) -> PrivacySpent:
    """What the accountant says of a federation's rounds; nothing where it promises nothing."""
    told = privacy_record(rounds) if plan.noise_multiplier else {}
    if told.get("epsilon") is None:
        return PrivacySpent()
    return PrivacySpent(epsilon=float(told["epsilon"]), delta=float(told["delta"]))


def _publication(
    state: ServerState, metrics: Mapping[str, float], spent: PrivacySpent
) -> Publication:
    """A state as a release: the head after `state.round - 1`."""
    return Publication(
        specification=state.head.specification,
        arrays=state.head.arrays,
        round=state.round - 1,
        metrics=metrics,
        privacy=spent,
    )
