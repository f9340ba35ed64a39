"""A secure sum whose shares were asked for, on disk: what was revealed can't be asked for anew.

Devices reveal one sum per head. A server that asks for the last step therefore writes down first
what it needs to read the answers, and after a restart goes on there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from common.errors import WorkError
from common.files import write_atomically


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """All of a session but the last step's answers.

    Attributes:
        head: SHA-256 of the head that it is over.
        stage, round: of the request.
        invitation: hex, see `common.secure_aggregation.steps`.
        addresses: of the members, by number from 1.
        aggregator: see `server.secure_aggregation.aggregator.Aggregator.saved`.
        signatures: hex of what the last step tells the members.
        signed: numbers of those who signed, who are asked.
        revealed: hex answers that have come, by number as text.
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


class UnfinishedSum(Protocol):
    """Where a server keeps the sum that it is about to learn."""

    def read(self) -> Unfinished | None:
        """The newest one."""

    def write(self, unfinished: Unfinished) -> None:
        """Replace it; durable when this returns."""


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
    """In a federation's folder, mode 0600; replaced by the next sum."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Unfinished | None:
        """See `UnfinishedSum`.

        Raises:
            WorkError: the file is damaged.
        """
        if not self._path.exists():
            return None
        try:
            return Unfinished(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise WorkError(
                f"{self._path} can't be read as the secure sum that was under way ({error}); "
                "without it the devices will not reveal another sum over this head"
            ) from error

    def write(self, unfinished: Unfinished) -> None:
        """See `UnfinishedSum`."""
        write_atomically(self._path, json.dumps(asdict(unfinished)).encode())
