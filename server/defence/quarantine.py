"""Devices that keep failing validation are left out until an operator lets them in again.

A device is put in quarantine once it failed in `failures` of the last `rounds` rounds in which it
replied; being silent is no failure. The file is JSON, written whole after every round; a damaged
one is an error and not an empty quarantine.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from common.errors import UsageError, WorkError
from common.files import write_atomically
from server.locks import exclusive

FORMAT: Final = 1
MOST_HISTORY: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`failures` (at least 1) within a device's last `rounds` (at least as many, at most 100)."""

    failures: int = 3
    rounds: int = 5

    def __post_init__(self) -> None:
        whole = type(self.failures) is int and type(self.rounds) is int
        if not whole or not 1 <= self.failures <= self.rounds <= 100:
            raise UsageError(
                f"quarantine is after {self.failures!r} failures in {self.rounds!r} rounds, "
                "expected 1 or more in at least as many, at most 100"
            )


@dataclass(frozen=True)
class Reply:
    """How one round went for a device: the federation, its round, and the reason of a refusal."""

    federation: str
    round: int
    reason: str | None


@dataclass(frozen=True)
class Case:
    """A device in quarantine.

    Attributes:
        device: name or node.
        reasons: of the failures that led to it, oldest first.
        since: UTC, ISO 8601.
        released, by: when and by whom it was let in again; empty while it is left out.
    """

    device: str
    reasons: tuple[str, ...]
    since: str
    released: str = ""
    by: str = ""


@dataclass(frozen=True)
class Records:
    """All that is kept: each device's last replies, open cases by device, and closed cases."""

    replies: Mapping[str, tuple[Reply, ...]] = field(default_factory=dict)
    cases: Mapping[str, Case] = field(default_factory=dict)
    history: tuple[Case, ...] = ()

    def after(self, device: str, reply: Reply, rule: Rule, since: str) -> Records:
        """With one more reply; one of the same round takes the place of the one there is."""
        others = [
            old
            for old in self.replies.get(device, ())
            if (old.federation, old.round) != (reply.federation, reply.round)
        ]
        window = (*others, reply)[-rule.rounds :]
        records = replace(self, replies={**self.replies, device: window})
        reasons = tuple(old.reason for old in window if old.reason is not None)
        if len(reasons) < rule.failures or device in self.cases:
            return records
        return replace(records, cases={**self.cases, device: Case(device, reasons, since)})

    def released(self, device: str, by: str, when: str) -> Records:
        """Without a device's case and its past failures."""
        closed = replace(self.cases[device], released=when, by=by)
        return Records(
            {name: window for name, window in self.replies.items() if name != device},
            {name: case for name, case in self.cases.items() if name != device},
            (*self.history, closed)[-MOST_HISTORY:],
        )


class Quarantine:
    """The quarantine's file.

    Args:
        path: written at the first round.
        rule: when a device is left out.
    """

    def __init__(self, path: Path, rule: Rule | None = None) -> None:
        self._path = path
        self._rule = rule or Rule()

    def note(
        self,
        federation: str,
        round: int,
        outcomes: Mapping[str, str | None],
        *,
        now: datetime | None = None,
    ) -> list[Case]:
        """Write a round's outcomes (`Examined.outcomes`) and return the new cases.

        The same round again, after a crash, counts once.

        Raises:
            WorkError: the file is damaged.
            OSError: the disk is full; nothing is changed then.
        """
        since = _text(now)
        with exclusive(self._lock):
            before = records = self._load()
            for device in sorted(outcomes):
                reply = Reply(federation, round, outcomes[device])
                records = records.after(device, reply, self._rule, since)
            self._save(records)
        return [case for device, case in records.cases.items() if device not in before.cases]

    def cases(self) -> dict[str, Case]:
        """The devices that are left out now.

        Raises:
            WorkError: the file is damaged.
        """
        return dict(self._load().cases)

    def history(self) -> tuple[Case, ...]:
        """The last closed cases, oldest first."""
        return self._load().history

    def release(self, device: str, *, by: str, now: datetime | None = None) -> Case:
        """Let a device in again; its past failures no longer count.

        Raises:
            UsageError: the device is not in quarantine.
        """
        with exclusive(self._lock):
            records = self._load()
            if device not in records.cases:
                raise UsageError(f"device {device!r} is not in quarantine")
            after = records.released(device, by, _text(now))
            self._save(after)
        return after.history[-1]

    @property
    def _lock(self) -> Path:
        return self._path.with_name(f".{self._path.name}.lock")

    def _save(self, records: Records) -> None:
        text = json.dumps({**dataclasses.asdict(records), "format": FORMAT}, sort_keys=True)
        write_atomically(self._path, text.encode())

    def _load(self) -> Records:
        if not self._path.exists():
            return Records()
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise ValueError("another version of Mien made it")
            return Records(
                {
                    name: tuple(Reply(**r) for r in window)
                    for name, window in values["replies"].items()
                },
                {name: _case(case) for name, case in values["cases"].items()},
                tuple(_case(case) for case in values["history"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise WorkError(
                f"{self._path} is not a quarantine's file ({error}); bring it back from a copy, or "
                "delete it to let all devices in"
            ) from error


def _case(values: dict[str, Any]) -> Case:
    return Case(**{**values, "reasons": tuple(values["reasons"])})


def _text(now: datetime | None) -> str:
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
