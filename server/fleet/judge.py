"""A fleet's replies under examination: what counts, who is refused and why, who is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.files import write_atomically
from common.messages import Request
from common.update import HeadUpdate
from common.wire import Expected
from server.defence import (
    Arrival,
    Limits,
    Quarantine,
    Question,
    Rule,
    Seen,
    digest_of,
    examine,
)

SEEN: Final = "seen.json"
QUARANTINE: Final = "quarantine.json"


@dataclass(frozen=True)
class Judgement:
    """Updates that count, their size as they came, and a reason for each reply that does not."""

    updates: tuple[HeadUpdate, ...]
    bytes: int = 0
    refused: tuple[str, ...] = ()


Judge = Callable[[Request, Sequence[Arrival]], Judgement]


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

    def __call__(self, request: Request, arrivals: Sequence[Arrival]) -> Judgement:
        """Decide on each reply of a round; a round that is tried again is judged alike."""
        specification = request.head.specification
        expected = Expected(specification=specification, stage=request.stage, round=request.round)
        question = Question(expected, digest_of(request.head.arrays))
        found = examine(arrivals, question, self._seen(), self._limits)
        names = self._names()
        outcomes = {names.get(node, node): reason for node, reason in found.outcomes.items()}
        self._quarantine.note(request.plan.name, request.round, outcomes)
        write_atomically(self._folder / SEEN, found.seen.to_json().encode())
        told = (
            f"{names.get(each.device, each.device)}: {each.refusal} ({each.detail})"
            for each in found.refused
        )
        sizes = {arrival.device: arrival.bytes for arrival in arrivals}
        counted = sum(sizes[node] for node, _ in found.accepted)
        return Judgement(tuple(update for _, update in found.accepted), counted, tuple(told))

    def left_out(self) -> frozenset[str]:
        """Node ids of the devices in quarantine."""
        cases = self._quarantine.cases()
        return frozenset(node for node, name in self._names().items() if name in cases)

    def _seen(self) -> Seen:
        path = self._folder / SEEN
        return Seen.from_json(path.read_text(encoding="utf-8")) if path.exists() else Seen()
