"""Clips on their way from the browser to the worker in pieces, and answers on the way back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

from common.errors import MienError, UsageError

LARGEST_PIECE: Final = 1024 * 1024
"""Bytes of one request."""
LARGEST_CLIP: Final = 256 * 1024 * 1024
"""Bytes of a clip; a phone's minute in full HD is about 130 MB."""
MOST_AT_ONCE: Final = 4
LONGEST_WAIT: Final = 2.0
"""Seconds that a question for a newer answer is kept open; shorter than the server's end takes."""
GONE_SECONDS: Final = 4.0
"""After which a page that neither asks nor sends has gone: one that is open always asks."""
_WAITING_PIECES: Final = 16
_GONE: Final = "The page was closed before its clip had ended."
_FAILED: Final = "Mien could not finish this clip. Please try again."


class Jobs(Protocol):
    """What runs jobs: `client.daemon.workers.Workers` or a daemon's `Remote`."""

    async def run(
        self,
        job: Mapping[str, Any],
        *,
        chunks: AsyncIterator[bytes] | None = None,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Run one job to its end; its result."""
        ...

    async def close(self) -> None:
        """End what was started."""
        ...


class Recording:
    """One clip: takes pieces in their order, tells the newest answer."""

    def __init__(self, jobs: Jobs, job: Mapping[str, Any]) -> None:
        self.kind = str(job["do"])
        self.seen = 0
        self.answer: dict[str, Any] | None = None
        self.result: dict[str, Any] | None = None
        self.error = ""
        self._news = asyncio.Event()
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_PIECES)
        self._next = 0
        self._bytes = 0
        self._complete = False
        self._taking = asyncio.Lock()
        self._asking = 0
        self._heard_at = time.monotonic()
        self.task = asyncio.create_task(self._run(jobs, job))
        self._watching = asyncio.create_task(self._end_when_left())

    async def take(self, number: int, piece: bytes, *, last: bool) -> None:
        """Hand on one piece; waits while the worker is behind.

        Args:
            number: of the piece, from 0.
            piece: its bytes.
            last: whether the clip ends with it.

        Raises:
            UsageError: it is not the next piece, or the clip has become too large.
        """
        with self._visited():
            await self._take(number, piece, last=last)

    async def _take(self, number: int, piece: bytes, *, last: bool) -> None:
        async with self._taking:
            if self._complete or number != self._next:
                raise UsageError("A piece of the recording went missing. Please record again.")
            if self._bytes + len(piece) > LARGEST_CLIP:
                self.task.cancel()
                raise UsageError(
                    f"It is larger than {LARGEST_CLIP // 2**20} MB. Please use a shorter clip."
                )
            self._next += 1
            self._bytes += len(piece)
            self._complete = last
            for part in [piece] * bool(piece) + [b""] * last:
                await self._put(part)

    async def _put(self, part: bytes) -> None:
        """Into the queue, unless the worker ends before there is room."""
        putting = asyncio.ensure_future(self._pieces.put(part))
        await asyncio.wait({putting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            putting.cancel()

    async def newer(self, than: int) -> dict[str, Any]:
        """What is known as soon as there is something after `than`, at the latest after a while."""
        with self._visited():
            if self.seen <= than and not self.task.done():
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), LONGEST_WAIT)
                except TimeoutError:
                    return self._state()
            return self._state()

    @contextmanager
    def _visited(self) -> Iterator[None]:
        """The page is there while the block runs."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._heard_at = time.monotonic()

    async def _end_when_left(self) -> None:
        """Give the worker free once nobody will send the rest of the clip."""
        while not (self._complete or self.task.done()):
            await asyncio.sleep(GONE_SECONDS / 4)
            silent = not self._asking and time.monotonic() - self._heard_at > GONE_SECONDS
            if silent and not self._complete:
                self.error = _GONE
                self.task.cancel()
                return

    def _state(self) -> dict[str, Any]:
        done = self.result is not None or bool(self.error)
        return {
            "seen": self.seen,
            "answer": self.answer,
            "result": self.result,
            "error": self.error,
            "done": done,
        }

    async def _run(self, jobs: Jobs, job: Mapping[str, Any]) -> None:
        try:
            self.result = await jobs.run(job, chunks=self._stream(), on_event=self._heard)
        except MienError as error:
            self.error = str(error)
        except asyncio.CancelledError:
            self.error = self.error or _FAILED
            raise
        except Exception:
            self.error = _FAILED
            raise
        finally:
            self._watching.cancel()
            self.seen += 1
            self._news.set()

    def _heard(self, event: Mapping[str, Any]) -> None:
        if event.get("event") == "answer":
            self.answer = dict(event["answer"])
            self.seen += 1
            self._news.set()

    async def _stream(self) -> AsyncIterator[bytes]:
        while piece := await self._pieces.get():
            yield piece


class Recordings:
    """Those under way and the last few that ended."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._open: dict[str, Recording] = {}

    def begin(self, job: Mapping[str, Any]) -> str:
        """Start a recording; its id.

        Raises:
            UsageError: too many are under way.
        """
        under_way = [each for each in self._open.values() if not each.task.done()]
        if len(under_way) >= MOST_AT_ONCE:
            raise UsageError("Mien is still busy with other clips. Please wait a moment.")
        for name in [n for n, each in self._open.items() if each.task.done()][:-MOST_AT_ONCE]:
            del self._open[name]
        name = secrets.token_hex(8)
        self._open[name] = Recording(self._jobs, job)
        return name

    def get(self, name: str) -> Recording:
        """The recording with an id.

        Raises:
            KeyError: there is none.
        """
        return self._open[name]

    async def drop(self, name: str) -> None:
        """Leave a recording; nothing of it is kept here."""
        recording = self._open.pop(name, None)
        if recording is not None:
            recording.task.cancel()
            await asyncio.wait({recording.task})

    async def close(self) -> None:
        """Leave all recordings."""
        for name in list(self._open):
            await self.drop(name)
