"""What left this device: an append-only file of entries, each chained to the one before by hash."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import WorkError
from common.files import PRIVATE_FILE

START = "0" * 64


class LedgerBroken(WorkError):
    """An entry was changed, removed from among the others or cut short.

    Appending checks the last entry, `entries` the whole chain. Whole entries cut off at the end
    leave a valid chain: only a count kept elsewhere would show them.
    """


class Ledger:
    """JSON lines; each has `previous`, the hash of the line before, and `hash`, its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry and wait until it is on the disk.

        Raises:
            LedgerBroken: the last entry can't be read or its hash is wrong.
            OSError: the disk is full or the file not writable; then nothing may leave either.
        """
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two processes of a device must not fork the chain
            linked = {**entry, "previous": self._last_hash()}
            file.write(json.dumps({**linked, "hash": _hash(linked)}, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> Iterator[dict[str, Any]]:
        """All entries, first to last, the chain checked on the way.

        Raises:
            LedgerBroken: names the first line that does not fit.
        """
        previous = START
        for number, line in enumerate(self._lines(), start=1):
            entry = self._check(line, number)
            if entry["previous"] != previous:
                raise LedgerBroken(f"{self._path.name} line {number} does not follow line before")
            previous = entry["hash"]
            yield entry

    def _lines(self) -> list[bytes]:
        if not self._path.exists():
            return []
        return self._path.read_bytes().splitlines(keepends=True)

    def _last_hash(self) -> str:
        lines = self._lines()
        return str(self._check(lines[-1], len(lines))["hash"]) if lines else START

    def _check(self, line: bytes, number: int) -> dict[str, Any]:
        """The entry of a line that is whole, its end included: the next one must not join it."""
        try:
            entry: dict[str, Any] = json.loads(line.decode())
            bare = {key: value for key, value in entry.items() if key != "hash"}
            good = entry["hash"] == _hash(bare) and "previous" in entry and line.endswith(b"\n")
        except (ValueError, KeyError, AttributeError, TypeError):
            good = False
        if not good:
            raise LedgerBroken(f"{self._path.name} line {number} was changed or cut short")
        return entry


def _hash(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
