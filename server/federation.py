"""One federation from first to last round, over any fleet. Knows nothing of Flower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from common.errors import WorkError
from common.heads.specification import DTYPE, HEAD_STAGE, REFERENCE_STAGE, HeadSpecification
from common.heads.universal import UniversalHead, initial_head
from common.messages import EVALUATE, Request
from common.settings import FederationPlan
from common.update import HeadUpdate
from server.aggregation import Collected, ServerState, initial_state, skip, step
from server.noising import combined
from server.strategies import strategy_of
from server.strategies.mean import WeightedMean


@dataclass(frozen=True)
class Replies:
    """What came back of one request.

    Attributes:
        updates: valid updates.
        bytes: serialised size of the replies that carried them.
        empty: number of devices that had nothing to send.
        failures: one reason per device that failed or did not answer.
        lost: number of replies that a simulation took away, see `server.sampling`.
        mean: in place of updates, from an engine that averages them by itself.
        refused: one reason per reply that came and is not averaged.
        late: replies to requests before, which came after their deadline and were dropped.
        noise: multiplier of the noise in `mean` that the accountant may count on; 0 for none.
        hurdles: what went wrong on the way to `mean` without harm to it.
        capped: a sentence for each device that counts as fewer clips than it says.
    """

    updates: tuple[HeadUpdate, ...]
    bytes: int
    empty: int
    failures: tuple[str, ...]
    lost: int = 0
    mean: WeightedMean | None = None
    refused: tuple[str, ...] = ()
    late: int = 0
    noise: float = 0.0
    hurdles: tuple[str, ...] = ()
    capped: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[str, ...]:
        """Reasons for everything that is missing."""
        return (*self.refused, *self.failures)

    @property
    def devices(self) -> int:
        """Number of devices whose update arrived."""
        return self.mean.devices if self.mean else len(self.updates)

    @property
    def collected(self) -> Collected:
        """What is combined."""
        return self.mean or self.updates


class Fleet(Protocol):
    """Whoever carries requests to devices and brings back what they answer."""

    def ask(self, request: Request) -> Replies:
        """Send `request` to the devices that `server.sampling` names and wait for the answers."""
        ...


@dataclass(frozen=True)
class RoundRecord:
    """One round as it is reported: how many sent how much of what, under which protection.

    `noise` is the multiplier that the accountant counts, 0 for none; of a secure sum `bytes` are
    those of all its steps.
    """

    federation: str
    round: int
    stage: str
    clients: int
    bytes: int
    failures: tuple[str, ...]
    arrays: tuple[dict[str, Any], ...]
    lost: int = 0
    secure_sum: bool = False
    noise: float = 0.0


OnNoised = Callable[[Request, WeightedMean], None]


def run_federation(
    fleet: Fleet,
    specification: HeadSpecification,
    plan: FederationPlan,
    on_round: Callable[[RoundRecord], None],
    *,
    strict: bool = False,
    reference: UniversalHead | None = None,
    on_noised: OnNoised = lambda request, mean: None,
) -> UniversalHead:
    """Round 0 (reference), `plan.rounds` head rounds, then the held-out devices' own test.

    No device is asked for a reference where a public one is given.

    A head round for which only some devices were asked, or whose replies were all lost, may bring
    nothing; the head then stays as it was. `on_noised` is told of means that the server noised.

    Raises:
        WorkError: a round brought no update at all, a device failed its own test, or, if `strict`
            (simulations: a lost device would change their numbers unseen), any device failed.
    """
    state = initial_state(initial_head(specification, plan.seed))
    if reference is None:
        state = _round(fleet, state, plan, REFERENCE_STAGE, on_round, on_noised, strict)
    else:
        state = with_reference(state, reference)
    for _ in range(plan.rounds):
        state = _round(fleet, state, plan, HEAD_STAGE, on_round, on_noised, strict)
    if plan.evaluate:
        replies = fleet.ask(Request(plan, EVALUATE, state.round, state.head))
        if replies.faults:
            raise WorkError(
                f"{len(replies.faults)} device(s) failed to test federation {plan.name}: "
                f"{replies.faults[0]}"
            )
    return state.head


def with_reference(state: ServerState, reference: UniversalHead) -> ServerState:
    """The state after a round 0 that nobody had to answer: the reference is a public one.

    Raises:
        WorkError: it is of another head.
    """
    if reference.specification != state.head.specification:
        raise WorkError("the public reference is made for another head than this federation's")
    names = state.head.specification.shapes(REFERENCE_STAGE)
    arrays = {name: reference.arrays[name] for name in names}
    head = replace(state.head, arrays={**state.head.arrays, **arrays})
    return skip(replace(state, head=head))


def _round(
    fleet: Fleet,
    state: ServerState,
    plan: FederationPlan,
    stage: str,
    on_round: Callable[[RoundRecord], None],
    on_noised: OnNoised,
    strict: bool,
) -> ServerState:
    request = Request(plan, stage, state.round, state.head)
    replies = fleet.ask(request)
    if strict and replies.faults:
        raise WorkError(f"round {state.round} of {plan.name} failed: {replies.faults[0]}")
    if not replies.devices and not _may_be_empty(plan, state.round, replies):
        reason = replies.faults[0] if replies.faults else "all devices declined"
        raise WorkError(f"round {state.round} of {plan.name} brought no update: {reason}")
    collected, noise = combined(request, replies)
    if noise and replies.mean is None and isinstance(collected, WeightedMean):
        on_noised(request, collected)
    shapes = state.head.specification.shapes(stage)
    on_round(
        RoundRecord(
            federation=plan.name,
            round=state.round,
            stage=stage,
            clients=replies.devices,
            bytes=replies.bytes,
            failures=replies.faults,
            arrays=tuple(
                {"name": name, "shape": list(shape), "dtype": DTYPE}
                for name, shape in shapes.items()
            ),
            lost=replies.lost,
            secure_sum=plan.secure_sum,
            noise=noise,
        )
    )
    if not replies.devices:
        return skip(state)
    return step(state, collected, stage=stage, strategy=strategy_of(plan))


def _may_be_empty(plan: FederationPlan, round: int, replies: Replies) -> bool:
    """Whether a round without any update is chance, or all budgets are used up; not a fault."""
    by_chance = plan.clients_per_round > 0 or replies.lost > 0
    used_up = round > 1 and replies.empty > 0
    return round > 0 and (by_chance or used_up) and not replies.faults
