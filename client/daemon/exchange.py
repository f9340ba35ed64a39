"""One job over a pair of streams, as the side that asks: to a worker, or to a running daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from client.daemon.protocol import (
    CLIP_BYTES,
    END_OF_CLIP,
    PIECE_SECONDS,
    Event,
    error_of,
    line_of,
    message_of,
    pieces_of,
)
from common.errors import MienError, UsageError, WorkError

SILENCE_SECONDS: Final = 900.0
"""Longest time without any word of a job's progress; a long clip on a slow device needs some."""
Chunks = AsyncIterator[bytes]
OnEvent = Callable[[Event], Awaitable[None] | None]


class PeerGone(Exception):
    """The other side ended before it had answered.

    Attributes:
        began: whether it had begun with the job; if not, the job may be given to another.
    """

    def __init__(self, *, began: bool) -> None:
        super().__init__("the other side ended before it had answered")
        self.began = began


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    job: Mapping[str, Any],
    *,
    chunks: Chunks | None = None,
    on_event: OnEvent | None = None,
    silence: float = SILENCE_SECONDS,
) -> Event:
    """Give one job away and wait for its end.

    Args:
        reader, writer: to and from the other side.
        job: see `client.daemon.protocol.check_job`.
        chunks: the clip, where it is not named by a path; asked for once the job has begun.
        on_event: told of every event but the last.
        silence: seconds without an event after which the other side is taken for hung.

    Returns the last event, for `result_of`.

    Raises:
        WorkError: the other side is hung or says too much.
        PeerGone: it ended without an answer.
    """
    clip = _Clip(writer, chunks)
    try:
        with suppress(ConnectionError):  # what it said before it closed can still be read
            writer.write(line_of(job))
            await writer.drain()
        return await _last_event(reader, clip, on_event, silence)
    finally:
        await clip.stop()


def result_of(event: Event) -> dict[str, Any]:
    """The result that a job's last event tells.

    Raises:
        UsageError, WorkError: the sentence that it tells instead.
    """
    result = event.get("result")
    if event.get("event") != "done" or not isinstance(result, dict):
        raise error_of(event)
    return result


async def _last_event(
    reader: asyncio.StreamReader, clip: _Clip, on_event: OnEvent | None, silence: float
) -> Event:
    began = False
    while True:
        event = await _next_event(reader, silence, began=began)
        kind = event.get("event")
        if kind in ("done", "error"):
            return event
        if kind == "began":
            began = True
            clip.start()
        elif on_event is not None:
            told = on_event(event)
            if told is not None:
                await told


async def _next_event(reader: asyncio.StreamReader, silence: float, *, began: bool) -> Event:
    try:
        async with asyncio.timeout(silence):
            line = await reader.readline()
    except ConnectionError as error:
        raise PeerGone(began=began) from error
    except TimeoutError as error:
        raise WorkError(f"the job was given up after {silence:g} s without progress") from error
    except ValueError as error:
        raise WorkError("the answer is longer than an answer may be") from error
    if not line.endswith(b"\n"):
        raise PeerGone(began=began)
    return message_of(line)


class _Clip:
    """A job's clip on its way, sent while answers already come back."""

    def __init__(self, writer: asyncio.StreamWriter, chunks: Chunks | None) -> None:
        self._writer = writer
        self._chunks = chunks
        self._sending: asyncio.Task[None] | None = None
        self._finished = False

    def start(self) -> None:
        if self._chunks is not None and self._sending is None:
            self._sending = asyncio.create_task(self._send(self._chunks))

    async def stop(self) -> None:
        """Once the answer is there nobody needs the rest, but its end must be marked."""
        if self._sending is None:
            return
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        self._finish(END_OF_CLIP)

    async def _send(self, chunks: Chunks) -> None:
        try:
            async for data in limited(chunks):
                for piece in pieces_of(data):
                    self._writer.write(piece)
                    await self._writer.drain()
            self._finish(END_OF_CLIP)
        except MienError as error:
            self._finish(line_of({"cut": str(error)}))
        except Exception as error:  # noqa: BLE001 - a page or a camera may fail in its own way
            self._finish(line_of({"cut": f"the recording broke off ({type(error).__name__})"}))

    def _finish(self, last: bytes) -> None:
        if not self._finished:
            self._finished = True
            with suppress(ConnectionError, RuntimeError):
                self._writer.write(last)


async def limited(chunks: Chunks) -> Chunks:
    """The same pieces, up to `CLIP_BYTES` together and `PIECE_SECONDS` apart.

    Raises:
        UsageError: there are more, or the next one does not come.
    """
    total = 0
    source = aiter(chunks)
    while True:
        try:
            # Not `wait_for`: Python 3.11's loses a cancellation that comes with the next piece.
            async with asyncio.timeout(PIECE_SECONDS):
                data = await anext(source)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise UsageError(
                f"the recording stopped arriving (nothing for {PIECE_SECONDS:g} s); record again"
            ) from error
        total += len(data)
        if total > CLIP_BYTES:
            raise UsageError(
                f"the recording is longer than {CLIP_BYTES // 1024**2} MiB; save it as a file "
                "and name that"
            )
        yield data
