"""What a running server tells: sentences for people, or one JSON object per line for machines.

An event has a name, a sentence and fields. Fields are names, counts, seconds and Flower's states;
nothing of what devices send is among them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from common.files import PRIVATE_FILE

LARGEST_LOG: Final = 8 * 2**20
"""Bytes of a program's log; one older part of that size is kept beside it."""


@dataclass(frozen=True)
class Event:
    """Something that happened: its name, a sentence for people, and its fields."""

    name: str
    sentence: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.sentence


Told = Callable[[Event], None]


def json_line(event: Event, *, now: datetime | None = None) -> str:
    """An event as one line: time (UTC, ISO 8601), event, message, and its fields."""
    time = (now or datetime.now(UTC)).isoformat(timespec="milliseconds")
    told = {"time": time, "event": event.name, "message": event.sentence, **event.fields}
    return json.dumps(told, ensure_ascii=True)


def outcomes_of(report: Mapping[str, Any]) -> dict[str, int]:
    """Numbers of answers by outcome of one round's report."""
    return {
        "accepted": int(report["accepted"]),
        "refused": len(report["refused"]),
        "failed": len(report["failures"]),
        "late": int(report["late"]),
        "empty": int(report["empty"]),
    }


def round_event(report: Mapping[str, Any]) -> Event:
    """A round's report without the reasons: those stay in the fleet's folder."""
    counts = outcomes_of(report)
    seconds = round(sum(report["seconds"].values()), 3)
    told = ", ".join(f"{value} {name}" for name, value in counts.items() if value)
    return Event(
        "round",
        f"round {report['round']} is done in {seconds:.1f} s: {told or 'nothing'}",
        {
            "round": int(report["round"]),
            "stage": str(report["stage"]),
            **counts,
            "tries": int(report["tries"]),
            "bytes": int(report["bytes"]),
            "seconds": seconds,
        },
    )


def bound_logs(folder: Path, largest: int = LARGEST_LOG) -> list[str]:
    """Cut logs that have grown beyond `largest` bytes; returns their names.

    The old content takes the place of `NAME.log.1`; where there is no room for it, it is lost. The
    program that writes goes on in the same file, since it appends; lines that it writes between
    copying and cutting are lost.
    """
    cut = []
    for log in sorted(folder.glob("*.log")):
        if log.stat().st_size <= largest:
            continue
        _keep_old(log)
        with log.open("r+b") as file:
            file.truncate(0)
        cut.append(log.name)
    return cut


def _keep_old(log: Path) -> None:
    """Copy a log beside it; half a copy, as on a full disk, is taken away again."""
    old = log.with_name(f"{log.name}.1")
    try:
        old.touch(mode=PRIVATE_FILE)
        shutil.copyfile(log, old)
    except OSError:
        old.unlink(missing_ok=True)
