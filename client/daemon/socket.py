"""A running daemon as others see it: where its socket is, and how it is asked.

The socket lies in the device's folder. Where that path is longer than a Unix socket's may be, it
lies in a private folder under `XDG_RUNTIME_DIR` or the temporary folder. Either way
`daemon.json` in the device's folder, which only its owner can read, says where.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import os
import socket
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from client.daemon.exchange import Chunks, OnEvent, PeerGone, exchange, result_of
from client.daemon.peer import is_own
from client.daemon.protocol import EVENT_BYTES, check_job, line_of, message_of
from common.errors import UsageError, WorkError

DAEMON_FILE: Final = "daemon.json"
SOCKET_FILE: Final = "daemon.sock"
LONGEST_PATH: Final = 100
"""Bytes; Linux takes 107, macOS 103."""
ANSWER_SECONDS: Final = 10.0
_NOT_RUNNING: Final = "no daemon runs on the device in {}; start one with `mien device run`"


def socket_path(folder: Path) -> Path:
    """Where the daemon of a device is to put its socket; makes a private folder if it has to.

    Raises:
        UsageError: the private folder is somebody else's or open to others.
    """
    near = folder.resolve() / SOCKET_FILE
    if len(os.fsencode(near)) <= LONGEST_PATH:
        return near
    place = _runtime_folder() / f"mien-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    status = place.lstat()
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    if not private or status.st_uid != os.getuid():
        raise UsageError(
            f"{place}: expected a folder of yours that only you can open; remove it, or choose a "
            f"device folder with a path of fewer than {LONGEST_PATH - len(SOCKET_FILE)} bytes"
        )
    return place / (hashlib.sha256(os.fsencode(near)).hexdigest()[:16] + ".sock")


def _runtime_folder() -> Path:
    named = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if named.is_absolute() and named.is_dir() and len(os.fsencode(named)) < LONGEST_PATH - 40:
        return named
    return Path(tempfile.gettempdir())


def found_socket(folder: Path) -> Path | None:
    """Where the daemon says that its socket is; None where no daemon has said so."""
    try:
        told = json.loads((folder / DAEMON_FILE).read_bytes())
        return Path(told["socket"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def ask(folder: Path, question: str) -> dict[str, Any] | None:
    """Ask the daemon of a device: `status`, `data-key` or `stop`; None where none runs.

    Raises:
        UsageError, WorkError: what the daemon says, or that it does not answer.
    """
    connection = _connected(folder)
    if connection is None:
        return None
    with connection:
        try:
            connection.sendall(line_of({"do": question}))
            with connection.makefile("rb") as answers:
                return _result(answers.readline(EVENT_BYTES))
        except TimeoutError as error:
            raise WorkError(
                f"the daemon of the device in {folder} did not answer within {ANSWER_SECONDS:g} s"
            ) from error
        except ConnectionError:
            return None  # it has just ended


def _result(line: bytes) -> dict[str, Any] | None:
    if not line:
        return None
    return result_of(message_of(line))


def _connected(folder: Path) -> socket.socket | None:
    """A connection to the daemon, None where none runs.

    Raises:
        WorkError: somebody else listens there.
    """
    path = found_socket(folder)
    if path is None:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.connect(str(path))
    except (OSError, ValueError):
        connection.close()
        return None
    if not is_own(connection):
        connection.close()
        raise WorkError(f"{path}: another user's process listens there; nothing was asked")
    return connection


def data_key(folder: Path) -> bytes | None:
    """The data key that a running daemon holds, None where none runs.

    Raises:
        WorkError: the daemon does not answer, or not with a key.
    """
    told = ask(folder, "data-key")
    if told is None:
        return None
    try:
        return base64.b64decode(told["data_key"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise WorkError(f"the daemon of the device in {folder} gave no key") from error


def running_process(folder: Path) -> int | None:
    """Process id of the daemon of a device, None where none answers."""
    told = ask(folder, "status")
    return None if told is None else int(told["process"])


class Remote:
    """A running daemon's workers, with the same `run` as `client.daemon.workers.Workers`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def running(self) -> bool:
        """Whether a daemon answers."""
        return running_process(self._folder) is not None

    async def run(
        self,
        job: Mapping[str, Any],
        *,
        chunks: Chunks | None = None,
        on_event: OnEvent | None = None,
    ) -> dict[str, Any]:
        """Let the daemon do one job; see `Workers.run`.

        Raises:
            UsageError, WorkError: the daemon's sentence, or that none runs.
        """
        checked = check_job(job)
        connection = _connected(self._folder)
        if connection is None:
            raise WorkError(_NOT_RUNNING.format(self._folder))
        connection.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=EVENT_BYTES)
        try:
            event = await exchange(reader, writer, checked, chunks=chunks, on_event=on_event)
            return result_of(event)
        except PeerGone as gone:
            raise WorkError(
                "the daemon ended before this job was done; what it had not told of may not be "
                "stored, so start it with `mien device run` and try again"
            ) from gone
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def close(self) -> None:
        """Nothing to do: the daemon goes on."""
