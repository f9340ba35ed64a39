"""A fleet's replies under examination: what counts, who is refused and why, who is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from common.errors import WorkError
from common.files import write_atomically
from common.messages import EVALUATE, Request
from common.update import HeadUpdate
from common.wire import Expected, read_update
from server.authority.devices import Device
from server.defence import (
    Arrival,
    Examined,
    Limits,
    Quarantine,
    Question,
    Rule,
    Seen,
    digest_of,
    examine,
)
from server.noising import norm_before_noise

SEEN: Final = "seen.json"
QUARANTINE: Final = "quarantine.json"


@dataclass(frozen=True)
class Judgement:
    """Updates that count, their size as they came, and a reason for each reply that does not.

    Attributes:
        capped: a sentence for each device that counts as fewer clips than it says.
        at_fault: node ids, as text, of the devices that had a reply refused.
    """

    updates: tuple[HeadUpdate, ...]
    bytes: int = 0
    refused: tuple[str, ...] = ()
    capped: tuple[str, ...] = ()
    at_fault: frozenset[str] = frozenset()


class Judge(Protocol):
    """Whoever decides on a round's replies."""

    def __call__(
        self, request: Request, arrivals: Sequence[Arrival], *, keep: bool = True
    ) -> Judgement:
        """Decide on each reply; `keep` says whether this is the last word, to be remembered."""
        ...


class Examiner:
    """Examines replies and remembers, in the federation's folder, what it saw.

    Args:
        folder: of the federation; exists.
        names: the operator's names by Flower's node ids.
        limits: what an update may be at the most.
        rule: when a device is left out.
    """

    def __init__(
        self,
        folder: Path,
        names: Callable[[], Mapping[str, str]],
        limits: Limits | None = None,
        rule: Rule | None = None,
    ) -> None:
        self._folder = folder
        self._names = names
        self._limits = limits or Limits()
        self._quarantine = Quarantine(folder / QUARANTINE, rule)

    def __call__(
        self, request: Request, arrivals: Sequence[Arrival], *, keep: bool = True
    ) -> Judgement:
        """Decide on each reply of a round; a round that is tried again is judged alike."""
        specification = request.head.specification
        expected = Expected(specification=specification, stage=request.stage, round=request.round)
        digest = digest_of(request.head.arrays)
        question = Question(expected, digest, norm_before_noise(request))
        found = examine(arrivals, question, self._seen(), self._limits)
        names = self._names()
        if keep:
            self._remember(request, found, names)
        told = (
            f"{names.get(each.device, each.device)}: {each.refusal} ({each.detail})"
            for each in found.refused
        )
        sizes = {arrival.device: arrival.bytes for arrival in arrivals}
        counted = sum(sizes[node] for node, _ in found.accepted)
        return Judgement(
            tuple(update for _, update in found.accepted),
            counted,
            tuple(told),
            tuple(f"{names.get(node, node)}: counts as fewer clips" for node in found.capped),
            frozenset(each.device for each in found.refused),
        )

    def _remember(self, request: Request, found: Examined, names: Mapping[str, str]) -> None:
        outcomes = {names.get(node, node): reason for node, reason in found.outcomes.items()}
        self._quarantine.note(request.plan.name, request.round, outcomes)
        write_atomically(self._folder / SEEN, found.seen.to_json().encode())

    def left_out(self) -> frozenset[str]:
        """Node ids of the devices in quarantine."""
        cases = self._quarantine.cases()
        return frozenset(node for node, name in self._names().items() if name in cases)

    def _seen(self) -> Seen:
        path = self._folder / SEEN
        return Seen.from_json(path.read_text(encoding="utf-8")) if path.exists() else Seen()


def let_in(federation: Path, device: Device) -> bool:
    """End a quarantine that is older than a device's enrolment; whether there was one.

    Its name may have been another device's, which was revoked.

    Raises:
        WorkError: the quarantine's file is damaged.
    """
    quarantine = Quarantine(federation / QUARANTINE)
    case = quarantine.cases().get(device.name)
    if case is None or datetime.fromisoformat(case.since) > device.added:
        return False
    quarantine.release(device.name, by="the enrolment of a new key")
    return True


def by_form(request: Request, arrivals: Sequence[Arrival], *, keep: bool = True) -> Judgement:
    """Every reply in an update's form counts: a simulation's devices run this very code."""
    if request.stage == EVALUATE:
        odd = tuple("a device answered a test with something" for _ in arrivals)
        return Judgement((), refused=odd)
    expected = Expected(
        specification=request.head.specification, stage=request.stage, round=request.round
    )
    updates, refused, size = [], [], 0
    for arrival in arrivals:
        try:
            updates.append(read_update(arrival.reply, expected))
            size += arrival.bytes
        except WorkError as error:
            refused.append(f"a device's update was refused: {error}")
    return Judgement(tuple(updates), size, tuple(refused))
