"""The fleet's rounds inside Flower's server process: devices asked, states published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from common.errors import WorkError
from common.messages import Request
from common.releases import PrivacySpent
from common.settings import FederationPlan
from server.aggregation import ServerState
from server.authority.authority import Authority
from server.federation import Fleet, Replies
from server.fleet.check import release_metrics
from server.fleet.folder import FleetFolder
from server.fleet.judge import Examiner
from server.fleet.oversampling import OverSampling
from server.fleet.rounds import Rounds, reports, with_rounds
from server.flower_adapter import FlowerFleet, TooFewDevices
from server.noising import privacy_record
from server.registry import Publication, Registry
from server.secure_aggregation.unfinished import OnDisk

POLL_SECONDS = 0.2
MOST_LINKS = 64
HEAR_SECONDS = 60.0
"""For which a run's end waits for devices to take the last release."""
FIRST_HEAD_ROUND = 1
UNFINISHED = "secure-sum.json"


class Told(Protocol):
    """Whoever brings releases to devices, as `server.flower_adapter.FlowerFleet` does."""

    def tell(self, release: bytes, links: Sequence[bytes]) -> None:
        """Send a release to all who do not have it."""


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


def announce(fleet: Told, registry: Registry) -> None:
    """Bring the newest release, if there is one, to the devices that are connected."""
    newest = registry.head().manifest
    if newest is None:
        return
    first = max(0, newest.sequence - 1 - MOST_LINKS)
    links = registry.links(first, newest.sequence)
    fleet.tell(registry.path(newest.sequence).read_bytes(), links)


def federate(grid: object, root: Path) -> ServerState:
    """Go on with the federation in a fleet's folder until the wanted rounds are done."""
    folder, authority = FleetFolder(root), Authority(root)
    settings, wanted = folder.settings(), folder.wanted()
    if not wanted.rounds:
        raise WorkError("no rounds are wanted; ask for some: mien server rounds start")
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
        unfinished=OnDisk(folder.federation / UNFINISHED),
    )

    def bring() -> None:
        announce(fleet, authority.registry)

    def publish(state: ServerState) -> None:
        if state.round > FIRST_HEAD_ROUND:  # the reference alone reads nothing
            metrics = release_metrics(folder.federation, state.head)
            spent = spent_on(settings.plan, reports(folder.federation))
            authority.publish(_publication(state, metrics, spent))
            bring()

    rounds = Rounds(
        fleet=PatientFleet(fleet, bring),
        specification=settings.specification,
        plan=with_rounds(settings.plan, wanted.rounds),
        folder=folder.federation,
        rules=settings.rules,
        paused=lambda: folder.wanted().paused,
        publish=publish,
        reference=folder.reference(),
    )
    done = rounds.run()
    fleet.hear(min(settings.deadline, HEAR_SECONDS))
    return done


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
