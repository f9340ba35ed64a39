"""Rounds that survive: a checkpoint after each, a quorum, and another try where too few answered.

What counts is the checkpoint: a round is done when it is written, and only then. Whoever is killed
before asks again, devices make the same updates of the same head, and nothing is counted twice or
lost. Knows nothing of Flower.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically
from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE, HeadSpecification
from common.heads.universal import UniversalHead, initial_head
from common.messages import Request
from common.settings import FederationPlan
from server.aggregation import ServerState, initial_state, step
from server.checkpoint import load_checkpoint, save_checkpoint
from server.federation import Fleet, Replies, with_reference
from server.noising import combined
from server.strategies import strategy_of

CHECKPOINT: Final = "checkpoint.safetensors"
HISTORY: Final = "rounds"


@dataclass(frozen=True, kw_only=True)
class RoundRules:
    """When a round counts.

    Attributes:
        quorum: accepted updates, or members of a secure sum, that it needs, at least 1.
        tries: how often it is asked for before the run gives up, at least 1.
        patience: seconds between tries.

    Raises:
        UsageError: out of range.
    """

    quorum: int = 1
    tries: int = 5
    patience: float = 5.0

    def __post_init__(self) -> None:
        if self.quorum < 1 or self.tries < 1 or not self.patience >= 0:
            raise UsageError(
                f"quorum is {self.quorum}, tries {self.tries}, patience {self.patience}; expected "
                "at least 1, 1 and 0"
            )


@dataclass(frozen=True, kw_only=True)
class RoundReport:
    """One round as the operator sees it; nothing in it tells one device's figures.

    `accepted` updates count; in a secure sum they are known by their number alone. `noise` is the
    multiplier that the accountant counts, 0 for none. `capped` devices count as fewer clips than
    they say.
    """

    federation: str
    round: int
    stage: str
    finished: str
    tries: int
    accepted: int
    empty: int
    refused: tuple[str, ...]
    failures: tuple[str, ...]
    late: int
    bytes: int
    seconds: dict[str, float]
    secure_sum: bool = False
    noise: float = 0.0
    capped: tuple[str, ...] = ()


@dataclass
class Rounds:
    """One federation's rounds in one folder.

    Attributes:
        fleet: whom to ask.
        specification: of the head.
        plan: of the federation; a run goes on until `plan.rounds` head rounds are done.
        folder: for checkpoint and reports.
        rules: when a round counts.
        paused: asked before every round; while it says yes nobody is asked.
        publish: told of every state that is safe on disk, at least once, also after a restart.
        reference: a public one, in place of round 0.
    """

    fleet: Fleet
    specification: HeadSpecification
    plan: FederationPlan
    folder: Path
    rules: RoundRules = RoundRules()
    paused: Callable[[], bool] = lambda: False
    publish: Callable[[ServerState], None] = lambda state: None
    reference: UniversalHead | None = None

    def run(self) -> ServerState:
        """Go on from the checkpoint, or begin.

        Raises:
            WorkError: a round had too few updates `rules.tries` times; what was done before stays.
        """
        private_folder(self.folder / HISTORY)
        state = load_checkpoint(self.folder / CHECKPOINT, self.plan)
        if state is None:
            state = initial_state(initial_head(self.specification, self.plan.seed))
            if self.reference is not None:
                state = with_reference(state, self.reference)
        elif state.head.specification != self.specification:
            raise WorkError(f"{CHECKPOINT} is of another head than the settings name")
        else:
            self._tell(state)
        while state.round <= self.plan.rounds:
            while self.paused():
                time.sleep(self.rules.patience)
            state = self._round(state)
            self._tell(state)
        return state

    def _tell(self, state: ServerState) -> None:
        if state.round > 0:
            self.publish(state)

    def _round(self, state: ServerState) -> ServerState:
        stage = HEAD_STAGE if state.round else REFERENCE_STAGE
        request = Request(self.plan, stage, state.round, state.head)
        started = time.monotonic()
        replies, tries = self._ask(request)
        asked = time.monotonic()
        collected, noise = combined(request, replies)
        after = step(state, collected, stage=stage, strategy=strategy_of(self.plan))
        seconds = {
            "asking": round(asked - started, 3),
            "averaging": round(time.monotonic() - asked, 3),
        }
        try:
            self._keep(request, replies, tries, seconds, noise)
            save_checkpoint(self.folder / CHECKPOINT, after, self.plan)
        except OSError as error:
            raise WorkError(
                f"round {request.round} of {self.plan.name} could not be kept in {self.folder} "
                f"({error.strerror}); make room: the round is asked for again, nothing is lost"
            ) from error
        return after

    def _ask(self, request: Request) -> tuple[Replies, int]:
        """Ask until enough updates are accepted.

        A sum counts, whatever its members' number: what was revealed can't be asked for again, and
        the fleet asks for none with fewer members than the quorum.
        """
        for tries in range(1, self.rules.tries + 1):
            replies = self.fleet.ask(request)
            if replies.mean is not None or replies.devices >= self.rules.quorum:
                return replies, tries
            if tries < self.rules.tries:
                time.sleep(self.rules.patience)
        reasons = (*replies.faults, "devices had nothing to send")
        raise WorkError(
            f"round {request.round} of {self.plan.name} got {replies.devices} update(s) "
            f"that count, {self.rules.quorum} are needed: {reasons[0]}"
        )

    def _keep(
        self,
        request: Request,
        replies: Replies,
        tries: int,
        seconds: dict[str, float],
        noise: float,
    ) -> None:
        """Before the checkpoint: a round that is done again writes its report again."""
        report = RoundReport(
            federation=self.plan.name,
            round=request.round,
            stage=request.stage,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            tries=tries,
            accepted=replies.devices,
            empty=replies.empty,
            refused=replies.refused,
            failures=(*replies.failures, *replies.hurdles),
            late=replies.late,
            bytes=replies.bytes,
            seconds=seconds,
            secure_sum=self.plan.secure_sum,
            noise=noise,
            capped=replies.capped,
        )
        path = self.folder / HISTORY / f"{request.round:06d}.json"
        write_atomically(path, json.dumps(asdict(report)).encode())


def reports(folder: Path) -> list[dict[str, Any]]:
    """Reports of all rounds that a checkpoint's folder has, first to last."""
    paths = sorted((folder / HISTORY).glob("[0-9]*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def with_rounds(plan: FederationPlan, rounds: int) -> FederationPlan:
    """The plan with another number of rounds: the same federation, gone on with."""
    return replace(plan, rounds=rounds)
