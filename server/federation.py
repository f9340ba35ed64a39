"""One federation from first to last round, over any fleet. Knows nothing of Flower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from common.errors import WorkError
from common.heads.specification import DTYPE, HEAD_STAGE, REFERENCE_STAGE, HeadSpecification
from common.heads.universal import UniversalHead, initial_head
from common.messages import EVALUATE, Request
from common.settings import FederationPlan
from common.update import HeadUpdate
from server.aggregation import ServerState, initial_state, step


@dataclass(frozen=True)
class Replies:
    """What came back of one request.

    Attributes:
        updates: valid updates.
        bytes: serialised size of the replies that carried them.
        empty: number of devices that had nothing to send.
        failures: one reason per reply that failed, was refused or did not come.
    """

    updates: tuple[HeadUpdate, ...]
    bytes: int
    empty: int
    failures: tuple[str, ...]


class Fleet(Protocol):
    """Whoever carries requests to all devices and brings back what they answer."""

    def ask(self, request: Request) -> Replies:
        """Send `request` to every device and wait for the answers."""
        ...


@dataclass(frozen=True)
class RoundRecord:
    """One round as it is reported: who sent how much of what."""

    federation: str
    round: int
    stage: str
    clients: int
    bytes: int
    failures: tuple[str, ...]
    arrays: tuple[dict[str, Any], ...]


def run_federation(
    fleet: Fleet,
    specification: HeadSpecification,
    plan: FederationPlan,
    on_round: Callable[[RoundRecord], None],
    *,
    strict: bool = False,
) -> UniversalHead:
    """Round 0 (reference), `plan.rounds` head rounds, then the held-out devices' own test.

    Raises:
        WorkError: a round brought no update at all, a device failed its own test, or, if `strict`
            (simulations: a lost device would change their numbers unseen), any device failed.
    """
    state = initial_state(initial_head(specification, plan.seed))
    state = _round(fleet, state, plan, REFERENCE_STAGE, on_round, strict)
    for _ in range(plan.rounds):
        state = _round(fleet, state, plan, HEAD_STAGE, on_round, strict)
    if plan.evaluate:
        replies = fleet.ask(Request(plan, EVALUATE, state.round, state.head))
        if replies.failures:
            raise WorkError(
                f"{len(replies.failures)} device(s) failed to test federation {plan.name}: "
                f"{replies.failures[0]}"
            )
    return state.head


def _round(
    fleet: Fleet,
    state: ServerState,
    plan: FederationPlan,
    stage: str,
    on_round: Callable[[RoundRecord], None],
    strict: bool,
) -> ServerState:
    replies = fleet.ask(Request(plan, stage, state.round, state.head))
    if strict and replies.failures:
        raise WorkError(f"round {state.round} of {plan.name} failed: {replies.failures[0]}")
    if not replies.updates:
        reason = replies.failures[0] if replies.failures else "all devices declined"
        raise WorkError(f"round {state.round} of {plan.name} brought no update: {reason}")
    shapes = state.head.specification.shapes(stage)
    on_round(
        RoundRecord(
            federation=plan.name,
            round=state.round,
            stage=stage,
            clients=len(replies.updates),
            bytes=replies.bytes,
            failures=replies.failures,
            arrays=tuple(
                {"name": name, "shape": list(shape), "dtype": DTYPE}
                for name, shape in shapes.items()
            ),
        )
    )
    return step(state, replies.updates, stage=stage, memory=plan.memory)
