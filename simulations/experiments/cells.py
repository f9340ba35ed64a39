"""Cells: one measurement, one JSON file that names its command, commit, data, seed and time.

A file that is there is used again only if the same code would make it of the same data with the
same settings; whatever killed a run, it goes on at the first cell that is missing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import write_atomically
from simulations.experiments.inputs import Input
from simulations.simulate import code_version

SCHEMA = "mien-experiment-cell/1"
ROOMS = ("common", "client", "server", "simulations")
NO_FIGURES = ("simulations/report/", "simulations/experiments/report/", "simulations/bench/")
"""Folders whose code makes no figure of a cell."""
LIBRARIES = ("mien", "torch", "numpy", "scipy")
SAME = ("schema", "experiment", "task", "data", "code", "versions")

Record = dict[str, Any]


@dataclass(frozen=True)
class Stamp:
    """What every result of a run says of how it was made."""

    experiment: str
    command: str
    commit: str | None
    code: str
    versions: Mapping[str, str]

    @classmethod
    def now(cls, experiment: str, command: str) -> Stamp:
        """Of this code, here."""
        return cls(experiment, command, code_version(), code_digest(), versions())


def versions() -> dict[str, str]:
    """Of Mien, Python and what computes."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **found}


@cache
def code_digest() -> str:
    """SHA-256 over the code that figures depend on, shortened; changed code makes cells anew."""
    root = Path(__file__).resolve().parents[2]
    found = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith(NO_FIGURES):
                found.update(name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def today() -> str:
    """Date and time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class CellStore:
    """The cells of one experiment in one folder.

    Attributes:
        folder: made when the first cell is written.
        stamp: of this run.
        again: make every cell anew, whatever is there.
    """

    folder: Path
    stamp: Stamp
    again: bool = False

    def get(self, task: Any, source: Input, make: Callable[[], Record]) -> tuple[Record, bool]:
        """A cell, and whether it was there already.

        Args:
            task: its settings, a dataclass.
            source: its data.
            make: measures it; what it returns becomes `results`.

        Raises:
            UsageError: the cell can't be written.
        """
        identity = self._identity(task, source)
        path = self.folder / f"{slug(identity)}.json"
        there = None if self.again else _read(path)
        if there is not None and all(there.get(key) == identity[key] for key in SAME):
            return {**there, "file": path.name}, True
        started = time.monotonic()
        results = make()
        cell = {
            **identity,
            "command": self.stamp.command,
            "commit": self.stamp.commit,
            "date": today(),
            "seed": identity["task"]["seed"],
            "seconds": round(time.monotonic() - started, 2),
            "results": results,
        }
        save_json(path, cell)
        return {**cell, "file": path.name}, False

    def _identity(self, task: Any, source: Input) -> Record:
        """As it will be read back: JSON has lists where Python has tuples."""
        identity = {
            "schema": SCHEMA,
            "experiment": self.stamp.experiment,
            "task": asdict(task),
            "data": source.about,
            "code": self.stamp.code,
            "versions": dict(self.stamp.versions),
        }
        same: Record = json.loads(json.dumps(identity))
        return same


def slug(identity: Mapping[str, Any]) -> str:
    """A file name that says what the cell is, and is its alone for these settings and data."""
    task = identity["task"]
    words = [identity["data"]["name"], *(str(v) for v in task.values() if isinstance(v, str))]
    told = re.sub(r"[^a-z0-9.]+", "-", " ".join(words).lower()).strip("-")[:80]
    text = json.dumps([task, identity["data"]], sort_keys=True)
    return f"{told}-seed-{task['seed']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _read(path: Path) -> Record | None:
    """A cell that was written; None if there is none, or it is damaged and is made anew."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "results" in found else None


def save_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, wholly or not at all.

    Raises:
        UsageError: the folder can't be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode(), mode=0o644)
    except OSError as error:
        raise UsageError(f"{path}: can't be written there ({error.strerror})") from error
