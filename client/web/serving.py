"""Serves the page to this computer's browsers, on the loopback address only."""

from __future__ import annotations

import asyncio
import html
import secrets
import signal
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import uvicorn

from client.daemon.socket import Remote
from client.daemon.workers import Workers
from client.device.device import Device
from client.vault.vault import Vault
from client.web.app import make_app
from client.web.recordings import Jobs
from common.errors import WorkError
from common.files import write_atomically

ADDRESS: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8631
DOOR: Final = "page.html"
"""File in the device's folder that leads the browser in: the token is in no process's arguments."""
_ENDING_SECONDS: Final = 3
_MOST_CONNECTIONS: Final = 64


def serve(
    folder: Path, data_key: bytes, *, port: int = DEFAULT_PORT, open_browser: bool = True
) -> None:
    """Serve a device's page until the process is asked to end.

    Prints the link with this start's token. A running daemon does the page's work, otherwise
    workers of its own do.

    Args:
        folder: the device's.
        data_key: of its vault.
        port: on 127.0.0.1; 0 for any that is free.
        open_browser: whether to open the page in the user's browser.

    Raises:
        WorkError: the port is taken.
        VaultMissing, VaultWrongKey, VaultCorrupt, VaultTooNew: the vault's own.
    """
    with Vault(folder, data_key) as vault, listening(port) as listener:
        token = secrets.token_urlsafe(32)
        real_port = listener.getsockname()[1]
        app = make_app(Device(vault), _EitherJobs(folder, data_key), token, real_port)
        link = f"http://{ADDRESS}:{real_port}/?token={token}"
        print(f"Mien's page: {link}\nOnly this computer can open it. Ctrl-C ends it.", flush=True)
        server = uvicorn.Server(_config(app))
        with ending_well(server), door(folder, link, wanted=open_browser):
            server.run(sockets=[listener])


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_ENDING_SECONDS,
    )


@contextmanager
def ending_well(server: uvicorn.Server) -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does; the server hands both on once it has stopped.

    The handler raises nothing: an exception could end up in whatever callback was running.
    """

    def leave(*_: object) -> None:
        server.should_exit = True

    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, leave)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket that listens on the loopback address.

    Raises:
        WorkError: the port is taken or not to be had.
    """
    try:
        listener = socket.create_server((ADDRESS, port))
    except (OSError, OverflowError) as error:
        raise WorkError(
            f"port {port} can't be used for the page ({error}); name another with --port, or 0"
        ) from error
    with listener:
        yield listener


class _EitherJobs:
    """A daemon that runs does the work, whose models are warm; else workers of the page's own."""

    def __init__(self, folder: Path, data_key: bytes) -> None:
        self._remote, self._own = Remote(folder), Workers(folder, data_key)

    async def run(
        self,
        job: Mapping[str, Any],
        *,
        chunks: AsyncIterator[bytes] | None = None,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """See `client.web.recordings.Jobs`."""
        there = await asyncio.to_thread(lambda: self._remote.running)
        jobs: Jobs = self._remote if there else self._own
        return await jobs.run(job, chunks=chunks, on_event=on_event)

    async def close(self) -> None:
        """End the page's own workers, if they were started."""
        await self._remote.close()
        await self._own.close()


@contextmanager
def door(folder: Path, link: str, *, wanted: bool) -> Iterator[None]:
    """Open the browser by a private file, as other users can read a process's arguments."""
    door = folder / DOOR
    if wanted:
        target = html.escape(link, quote=True)
        content = f'<!doctype html><meta http-equiv="refresh" content="0; url={target}">'
        write_atomically(door, content.encode())
        webbrowser.open(door.as_uri())
    try:
        yield
    finally:
        door.unlink(missing_ok=True)
