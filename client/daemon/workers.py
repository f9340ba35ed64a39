"""Starts the worker when there is a job, gives it one job at a time, and ends it after a while.

Holds the data key but loads no model. A worker that crashes costs its job one clear sentence; the
next job gets a new worker.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import client
from client.daemon.exchange import Chunks, OnEvent, PeerGone, exchange, result_of
from client.daemon.protocol import EVENT_BYTES, WORK, check_job
from client.daemon.settings import DaemonSettings, load_settings
from client.daemon.words import LastWords
from common.errors import UsageError, WorkError

END_SECONDS: Final = 2.0
"""That a worker has to finish its job in before it is killed; the vault bears that."""
QUIET: Final = {
    "OPENVINO_TELEMETRY_ENABLED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
}
ENDING: Final = "the device is being ended; start it again with `mien device run` and try again"


def worker_command(idle: float) -> list[str]:
    """How a worker is started; it ends by itself should nobody end it."""
    return [
        *(sys.executable, "-P", "-m", "client.daemon.worker"),
        *("--idle", f"{2 * idle + 30:g}", "--parent", str(os.getpid())),
    ]


class Workers:
    """Does jobs in a process of its own; `async` methods belong to one event loop.

    Args:
        folder: the device's.
        data_key: of its vault.
        settings: which networks a worker loads and when it is ended; device.json's if not given.
        command: starts a worker; tests give their own.
    """

    def __init__(
        self,
        folder: Path,
        data_key: bytes,
        *,
        settings: DaemonSettings | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._key = data_key
        self._settings = settings or load_settings(folder)
        self._command = list(command or worker_command(self._settings.idle_seconds))
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._words = LastWords()
        self._listening: asyncio.Task[None] | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._resting: asyncio.Task[None] | None = None
        self._closing = False
        self._jobs = self._crashes = 0

    @property
    def state(self) -> dict[str, Any]:
        """Whether a worker is there and what became of the jobs so far."""
        return {
            "process": self._process.pid if self._process is not None and self._alive else None,
            "busy": self._turn.locked(),
            "jobs": self._jobs,
            "crashes": self._crashes,
        }

    async def run(
        self,
        job: Mapping[str, Any],
        *,
        chunks: Chunks | None = None,
        on_event: OnEvent | None = None,
    ) -> dict[str, Any]:
        """Do one job when its turn comes; returns its result.

        Args:
            job: see `client.daemon.protocol`.
            chunks: the clip where it is not named by a path, in parts of any size.
            on_event: told of partial answers, `{"event": "answer", "answer": {...}}`.

        Raises:
            UsageError, WorkError: the worker's sentence, or that it crashed, or that the device is
                being ended.
        """
        checked = check_job(job)
        if checked["do"] not in WORK:
            raise UsageError(f"a worker does not do {checked['do']!r}")
        async with self._turn:
            self._stop_rest()
            try:
                return await self._do(checked, chunks, on_event)
            finally:
                self._jobs += 1
                self._start_rest()

    async def close(self, patience: float = END_SECONDS) -> None:
        """End the worker: what it does now may be finished within `patience` seconds."""
        self._closing = True
        self._stop_rest()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._turn.acquire()
                self._turn.release()
        await self._end(gently=not self._turn.locked())

    async def _do(
        self, job: Mapping[str, Any], chunks: Chunks | None, on_event: OnEvent | None
    ) -> dict[str, Any]:
        while True:
            fresh = not self._alive
            try:
                reader, writer = await self._streams()
                event = await exchange(reader, writer, job, chunks=chunks, on_event=on_event)
                break
            except PeerGone as gone:
                lost = await self._lost()
                if gone.began or fresh or self._closing:
                    raise lost from gone
            except BaseException:
                # Given up half-way: whatever the worker would still say belongs to no job.
                await self._end(gently=False)
                raise
        return result_of(event)

    @property
    def _alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._closing:
            raise WorkError(ENDING)
        if not self._alive:
            await self._start()
        process = self._process
        if process is None or process.stdout is None or process.stdin is None:
            raise WorkError("the worker has no pipes")
        return process.stdout, process.stdin

    async def _start(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=self._folder,
                env=_environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=EVENT_BYTES,
                start_new_session=True,
            )
        except OSError as error:
            raise WorkError(f"the worker can't be started ({error.strerror})") from error
        self._words = LastWords()
        if self._process.stderr is not None:
            self._listening = asyncio.create_task(self._words.listen(self._process.stderr))
        reader, writer = await self._streams()
        result_of(await exchange(reader, writer, self._opening()))

    def _opening(self) -> dict[str, Any]:
        return {
            "do": "open",
            "folder": str(self._folder),
            "data_key": base64.b64encode(self._key).decode(),
            "backbone": self._settings.backbone,
            "identity": self._settings.identity,
        }

    async def _lost(self) -> WorkError:
        """Bury a worker that has ended by itself; the sentence for the job that was lost."""
        code = await self._end(gently=True)
        if self._closing:
            return WorkError(ENDING)
        self._crashes += 1
        last = f"; its last words: {self._words.last}" if self._words.last else ""
        return WorkError(
            f"the worker ended unexpectedly ({_ended_by(code)}) and this job was lost, perhaps for "
            f"lack of memory; nothing of it is half stored, so try it again{last}"
        )

    async def _end(self, *, gently: bool) -> int:
        """End the worker and wait for it; returns its code."""
        process, listening = self._process, self._listening
        if process is None:
            return 0
        if process.stdin is not None:
            process.stdin.close()
        if gently:
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS / 2):
                    await process.wait()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        code = await process.wait()
        if listening is not None:
            await asyncio.wait([listening], timeout=0.5)
        if self._process is process:
            self._process = self._listening = None
        return code

    def _start_rest(self) -> None:
        if self._process is not None and not self._closing:
            loop = asyncio.get_running_loop()
            self._rest = loop.call_later(self._settings.idle_seconds, self._sleep)

    def _stop_rest(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _sleep(self) -> None:
        self._resting = asyncio.get_running_loop().create_task(self._end_idle())

    async def _end_idle(self) -> None:
        if not self._turn.locked():
            async with self._turn:
                await self._end(gently=True)


def _environment() -> dict[str, str]:
    """The daemon's own, with where this program's code is: the worker starts in another folder."""
    root = str(Path(client.__file__).resolve().parents[1])
    path = os.pathsep.join(each for each in (root, os.environ.get("PYTHONPATH", "")) if each)
    return {**QUIET, **os.environ, "PYTHONPATH": path}


def _ended_by(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
