"""A secure sum whose shares were asked for, on disk: what was revealed can't be asked for anew.

Devices reveal one sum per head. A server that asks for the last step therefore writes down first
what it needs to read the answers, and after a restart goes on there. Addresses are good for one
start of Flower's SuperLink; members are known again by the introductions in the invitation.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from common.errors import WorkError
from common.files import write_atomically
from common.messages import Request
from common.secure_aggregation.rounds import digest_of_head
from common.settings import FederationPlan

FILE: Final = "secure-sum.json"
"""In a federation's folder."""
ABANDONED: Final = ".abandoned"


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """All of a session but the last step's answers.

    Attributes:
        head: SHA-256 of the head that it is over.
        stage, round: of the request.
        invitation: hex, see `common.secure_aggregation.steps`.
        addresses: that the members had when they were asked last, by number from 1.
        aggregator: see `server.secure_aggregation.aggregator.Aggregator.saved`.
        signatures: hex of what the last step tells the members.
        signed: numbers of those who signed, who are asked.
        revealed: hex answers that have come, by number as text.
        needed: how many of them the sum needs.
        plan: that the members were asked under; its number of rounds may be another one by now.
    """

    head: str
    stage: str
    round: int
    invitation: str
    addresses: list[int]
    aggregator: dict[str, Any]
    signatures: str
    signed: list[int]
    revealed: dict[str, str]
    needed: int = 1
    plan: str = ""

    @property
    def session(self) -> str:
        """Hex digest of the session."""
        return str(self.aggregator["session"])

    @property
    def missing(self) -> int:
        """How many members are to be asked at the least."""
        return max(1, self.needed - len(self.revealed))

    def how_it_stands(self, federation: str, away: int) -> str:
        """Why there is no sum yet, in one sentence; `away` members are not connected."""
        came = len(self.revealed)
        waits = f"it waits for the others, {away} are not connected"
        return (
            f"the secure sum of round {self.round} of {federation} has the shares of {came} "
            f"member(s), {self.needed} are needed; "
            f"{waits if came < self.needed else 'they do not fit'}. If that stays so, give it up: "
            "mien server rounds abandon"
        )


class UnfinishedSum(Protocol):
    """Where a server keeps the sum that it is about to learn."""

    def read(self) -> Unfinished | None:
        """The newest one."""

    def write(self, unfinished: Unfinished) -> None:
        """Replace it; durable when this returns."""


def unfinished_over(request: Request, place: UnfinishedSum) -> Unfinished | None:
    """The sum over a request's head that was asked for before, None where there is none."""
    kept = place.read()
    head = digest_of_head(request.head.specification, request.head.arrays)
    return kept if kept is not None and kept.head == head else None


def as_begun(request: Request, kept: Unfinished | None) -> Request:
    """The request in the words in which a sum was begun: devices answer no others."""
    if kept is None or not kept.plan:
        return request
    return replace(request, plan=FederationPlan.from_json(kept.plan))


class InMemory:
    """Of a server whose restart begins its federation anew anyway: a simulation's."""

    def __init__(self) -> None:
        self._kept: Unfinished | None = None

    def read(self) -> Unfinished | None:
        """See `UnfinishedSum`."""
        return self._kept

    def write(self, unfinished: Unfinished) -> None:
        """See `UnfinishedSum`."""
        self._kept = unfinished


class OnDisk:
    """In a federation's folder, mode 0600; replaced by the next sum.

    A sum that was abandoned is named in a file of its own: a run that is just asking for it may
    still write here, and changes nothing by it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._abandoned = path.with_name(path.name + ABANDONED)

    def read(self) -> Unfinished | None:
        """See `UnfinishedSum`.

        Raises:
            WorkError: the file is damaged.
        """
        if not self._path.exists():
            return None
        try:
            kept = Unfinished(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise WorkError(
                f"{self._path} can't be read as the secure sum that was under way ({error}); "
                "without it the devices will not reveal another sum over this head"
            ) from error
        return None if self._is_abandoned(kept) else kept

    def write(self, unfinished: Unfinished) -> None:
        """See `UnfinishedSum`."""
        write_atomically(self._path, json.dumps(asdict(unfinished)).encode())

    def abandon(self) -> None:
        """Have `read` find this sum no more; the members who revealed stay out of its head."""
        if (kept := self.read()) is not None:
            write_atomically(self._abandoned, kept.session.encode())

    def _is_abandoned(self, kept: Unfinished) -> bool:
        try:
            return self._abandoned.read_text(encoding="ascii") == kept.session
        except FileNotFoundError:
            return False
