"""The daemon's end of its socket: who may ask, what is understood, one answer per job."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from client.daemon.exchange import Chunks, OnEvent, limited
from client.daemon.peer import is_own
from client.daemon.protocol import (
    JOB_BYTES,
    PIECE_BYTES,
    QUESTIONS,
    WORK,
    Event,
    Job,
    check_job,
    comes_as_bytes,
    done_event,
    error_event,
    line_of,
    message_of,
    size_of,
)
from common.errors import MienError, UsageError, WorkError
from common.files import PRIVATE_FILE

MOST_CONNECTIONS: Final = 32
QUIET_SECONDS: Final = 60.0
"""That a connection may be open without a job."""
DRAIN_SECONDS: Final = 5.0
LINGER_SECONDS: Final = 1.0
LEFT_SECONDS: Final = 0.2

Question = Callable[[str], Awaitable[Mapping[str, Any]]]


class DoesJobs(Protocol):
    """`client.daemon.workers.Workers`, as far as the socket needs it."""

    async def run(
        self, job: Mapping[str, Any], *, chunks: Chunks | None, on_event: OnEvent | None
    ) -> dict[str, Any]: ...


class SocketServer:
    """Serves jobs to this user's processes and nobody else.

    Args:
        path: of the socket; see `client.daemon.socket.socket_path`.
        workers: do the jobs.
        answer: answers `QUESTIONS`.
    """

    def __init__(self, path: Path, workers: DoesJobs, answer: Question) -> None:
        self.path = path
        self._workers = workers
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; a socket that a daemon left behind is removed (the caller holds the lock).

        Raises:
            UsageError: something else is where the socket has to be.
        """
        _clear(self.path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            listening.bind(str(self.path))
        except OSError as error:
            listening.close()
            raise WorkError(f"{self.path}: no socket can be made ({error.strerror})") from error
        finally:
            os.umask(mask)
        self.path.chmod(PRIVATE_FILE)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=JOB_BYTES)

    async def close(self, patience: float = 0.5) -> None:
        """Take no more connections, let answers go out, cut off whoever is left."""
        if self._server is not None:
            self._server.close()
        with suppress(OSError):
            self.path.unlink()
        if self._open:
            await asyncio.wait(self._open, timeout=patience)
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._open.add(task)
        try:
            connection = _Connection(reader, writer, self._workers, self._answer)
            if len(self._open) > MOST_CONNECTIONS:
                await connection.tell(error_event(WorkError("the device is busy; try again later")))
            elif not is_own(writer.get_extra_info("socket")):
                await connection.tell(error_event(UsageError("this device is another user's")))
            else:
                await connection.serve()
            await connection.linger()
        except (ConnectionError, asyncio.CancelledError):
            pass  # gone, or the daemon ends: nobody to tell
        finally:
            self._open.discard(task)
            writer.close()


class _Connection:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        workers: DoesJobs,
        answer: Question,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._workers = workers
        self._answer = answer

    async def serve(self) -> None:
        """Job after job, until the other side ends, is silent, or says what isn't understood."""
        while True:
            try:
                line = await self._line(JOB_BYTES, QUIET_SECONDS)
                if not line:
                    return
                job = check_job(message_of(line))
            except MienError as error:
                await self.tell(error_event(error))
                return
            if not await self._do(job):
                return

    async def linger(self) -> None:
        """Let the last words be read: to close while something lies here unread wipes them out."""
        with suppress(OSError, TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(LINGER_SECONDS):
                while await self._reader.read(JOB_BYTES):
                    pass

    async def tell(self, event: Event) -> None:
        """Send one event."""
        self._writer.write(line_of(event))
        await self._writer.drain()

    async def _do(self, job: Job) -> bool:
        """Do one job and answer it; whether the connection can be used for another."""
        clip = _ClipReader(self._line, self._reader) if comes_as_bytes(job) else None
        try:
            event = done_event(await self._result(job, clip))
        except MienError as error:
            event = error_event(error)
        except Exception as error:  # noqa: BLE001 - a defect costs this job, not the daemon
            event = error_event(error)
        await self.tell(event)
        return clip is None or await clip.drain()

    async def _result(self, job: Job, clip: _ClipReader | None) -> Mapping[str, Any]:
        if job["do"] in QUESTIONS:
            return await self._answer(job["do"])
        if job["do"] not in WORK:
            raise UsageError(f"a daemon does not do {job['do']!r}")
        await self.tell({"event": "began"})
        if clip is None:
            return await self._workers.run(job, chunks=None, on_event=self._pass_on)
        return await self._unless_left(job, clip)

    async def _unless_left(self, job: Job, clip: _ClipReader) -> Mapping[str, Any]:
        """Do a job whose clip came over this connection: who closes it wants nothing kept."""
        running = asyncio.ensure_future(
            self._workers.run(job, chunks=clip.pieces(), on_event=self._pass_on)
        )
        leaving = asyncio.ensure_future(clip.left())
        try:
            await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
                raise UsageError("the clip was taken back while it was looked at")
            return running.result()
        finally:
            running.cancel()
            leaving.cancel()

    async def _pass_on(self, event: Event) -> None:
        # A command that was broken off hears no more; what it began is finished all the same.
        with suppress(ConnectionError):
            await self.tell(event)

    async def _line(self, limit: int, patience: float) -> bytes:
        """One line; empty where the other side has ended or was silent for too long."""
        try:
            async with asyncio.timeout(patience):
                line = await self._reader.readline()
        except TimeoutError:
            return b""
        except ValueError as error:
            raise UsageError(f"a message to the device is longer than {limit} bytes") from error
        return line if line.endswith(b"\n") else b""


class _ClipReader:
    """A clip that a connection sends after its job."""

    def __init__(
        self,
        line: Callable[[int, float], Awaitable[bytes]],
        reader: asyncio.StreamReader,
    ) -> None:
        self._line = line
        self._reader = reader
        self._ended = False
        self._left = 0
        """Bytes that a line has announced; kept where reading them was broken off."""

    async def pieces(self) -> Chunks:
        """Its parts.

        Raises:
            UsageError: the clip was cut off, or something else came in its place.
        """
        while not self._ended:
            data = await self._piece()
            if data:
                yield data

    async def left(self) -> None:
        """Return once the clip is here and the other side has closed the connection."""
        while not (self._ended and self._reader.at_eof()):
            await asyncio.sleep(LEFT_SECONDS)

    async def drain(self) -> bool:
        """Read what is left of it; false where it does not come to its end."""
        with suppress(MienError, TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                async for _ in limited(self.pieces()):
                    pass
                return True
        return False

    async def _piece(self) -> bytes:
        broken = UsageError("the recording broke off; record again")
        try:
            if not self._left:
                line = await self._line(PIECE_BYTES, QUIET_SECONDS)
                if not line:
                    raise broken
                self._left = size_of(line)
                self._ended = self._left == 0
            data = await self._reader.readexactly(self._left)
        except asyncio.IncompleteReadError as error:
            self._ended = True
            raise broken from error
        except MienError:
            self._ended = True
            raise
        self._left = 0
        return data


def _clear(path: Path) -> None:
    """Remove a socket that a daemon left behind."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.getuid():
        raise UsageError(f"{path}: the daemon's socket belongs here, and something else is there")
    path.unlink()
