"""A child's last words: kept in memory only, since they may name files."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

KEPT: Final = 5
LONGEST: Final = 300
NOTICE: Final = "mien-notice: "
"""In front of a line that a child of Mien's own means for the device's log and status."""


class LastWords:
    """The newest lines that a child wrote; `notice` is told of those that start with `NOTICE`."""

    def __init__(self, notice: Callable[[str], None] = lambda text: None) -> None:
        self._notice = notice
        self._lines: deque[str] = deque(maxlen=KEPT)

    @property
    def last(self) -> str:
        """The newest line, shortened; empty if there was none."""
        return self._lines[-1][:LONGEST] if self._lines else ""

    async def listen(self, stream: asyncio.StreamReader) -> None:
        """Read to the stream's end, so that the child never waits for a reader."""
        with suppress(ConnectionError):
            while True:
                try:
                    line = await stream.readline()
                except ValueError:
                    continue  # longer than a line may be: dropped
                if not line:
                    return
                if text := line.decode("utf-8", "replace").strip():
                    self._take(text)

    def _take(self, text: str) -> None:
        if text.startswith(NOTICE):
            self._notice(text.removeprefix(NOTICE)[:LONGEST])
        else:
            self._lines.append(text)
