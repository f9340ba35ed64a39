"""The daemon: one per device. Everything that loads a model happens in a worker, see `workers`."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from client.daemon.fleet import FleetPart
from client.daemon.inbox import Inbox
from client.daemon.lock import device_lock
from client.daemon.parent import no_core_dump
from client.daemon.server import SocketServer
from client.daemon.settings import DaemonSettings
from client.daemon.socket import DAEMON_FILE, socket_path
from client.daemon.taking import Taker, Tell
from client.daemon.workers import Workers
from client.vault.vault import Vault
from common.files import private_folder, write_atomically

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def tell_log(text: str) -> None:
    """One line on standard error, where the system's log takes it up. Never a user's name."""
    shown = " ".join(text.split()).encode("utf-8", "replace").decode()
    sys.stderr.write(f"mien device: {shown}\n")
    sys.stderr.flush()


async def run(
    folder: Path,
    data_key: bytes,
    settings: DaemonSettings,
    *,
    workers: Workers | None = None,
    tell: Tell = tell_log,
) -> None:
    """Be the daemon of a device until a signal or `mien device stop` ends it, within 5 s.

    Args:
        folder: the device's.
        data_key: of its vault, in memory only.
        settings: from device.json.
        workers: do the work; tests give their own.
        tell: told what a person should know.

    Raises:
        UsageError: another daemon runs on the device.
        WorkError: the vault or the socket can't be opened.
    """
    no_core_dump()
    private_folder(folder)
    with device_lock(folder, "start a daemon"), Vault(folder, data_key) as vault:
        jobs = workers or Workers(folder, data_key, settings=settings)
        await _Daemon(folder, data_key, settings, vault, jobs, tell).run()


class _Daemon:
    def __init__(
        self,
        folder: Path,
        data_key: bytes,
        settings: DaemonSettings,
        vault: Vault,
        workers: Workers,
        tell: Tell,
    ) -> None:
        self._folder = folder
        self._key = data_key
        self._settings = settings
        self._vault = vault
        self._workers = workers
        self._tell = tell
        self._stop = asyncio.Event()
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._server = SocketServer(socket_path(folder), workers, self._answer)
        inboxes = [Inbox(path, settle=settings.settle_seconds) for path in settings.inboxes]
        naming = tell is not tell_log or sys.stderr.isatty()
        self._taker = Taker(vault, workers, inboxes, tell, naming=naming)
        self._fleet = FleetPart(folder, settings.fleet, tell)

    async def run(self) -> None:
        with _stopped_by_signals(self._stop):
            await self._server.start()
            tasks: list[asyncio.Task[None]] = []
            try:
                self._publish()
                tasks = self._begin()
                self._tell(f"running, {len(self._settings.inboxes)} inbox(es) are watched")
                notify_ready()
                await self._until_stopped(tasks)
            finally:
                await self._end(tasks)

    def _begin(self) -> list[asyncio.Task[None]]:
        return [
            asyncio.create_task(self._taker.watch(), name="inboxes"),
            asyncio.create_task(self._fleet.keep(), name="fleet"),
        ]

    async def _until_stopped(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for the end; a task that fails is a defect, and ends the daemon with its error."""
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """End all parts at the same time, each within less than 5 s."""
        self._taker.end()
        (self._folder / DAEMON_FILE).unlink(missing_ok=True)
        for task in tasks[1:]:  # first, or it would start a node that is just being ended
            task.cancel()
        await asyncio.gather(self._workers.close(), self._fleet.close())
        await self._server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tell("ended")

    def _publish(self) -> None:
        told = {"process": os.getpid(), "socket": str(self._server.path)}
        write_atomically(self._folder / DAEMON_FILE, json.dumps(told).encode() + b"\n")

    async def _answer(self, question: str) -> dict[str, Any]:
        if question == "data-key":
            return {"data_key": base64.b64encode(self._key).decode()}
        if question == "stop":
            self._stop.set()
            return {"process": os.getpid()}
        return self._status()

    def _status(self) -> dict[str, Any]:
        return {
            "process": os.getpid(),
            "started": self._started,
            "inboxes": [str(path) for path in self._settings.inboxes],
            "waiting": self._taker.waiting,
            "clips": asdict(self._taker.counts),
            "problems": list(self._taker.problems),
            "worker": self._workers.state,
            "fleet": self._fleet.state,
            "paused": bool(self._vault.setting("paused", False)),
        }


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    # What whoever started the daemon wants ignored (nohup) stays ignored.
    heeded = [each for each in STOP_SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)


def notify_ready() -> None:
    """Tell systemd, where it started this process and asked for it, that the device is up."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    place = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notice, suppress(OSError):
        notice.connect(place)
        notice.send(b"READY=1")
