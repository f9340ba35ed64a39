"""Flower's SuperNode beside the daemon: kept running, without telemetry, ended with the daemon.

Its ClientApp (`client.app`) reaches the vault by the folder that `vault-dir` in the node's
configuration names, and gets the data key from the daemon's socket: the SuperNode itself has
neither. A node that was killed can't come back to its fleet for about a minute, hence the waits.
It is started through `client.daemon.node`, which lets it run this device's own code only.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import client
from client.daemon.clock import clock_trouble
from client.daemon.health import NodeHealth
from client.daemon.settings import Fleet
from client.daemon.tunnel import prepared
from client.daemon.words import LastWords
from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically

FLEET_FOLDER: Final = "fleet"
NODE: Final = "client.daemon.node"
TUNNEL: Final = "MIEN_TUNNEL"
"""Environment variable of the node: nginx's configuration, where it is to be started first."""
WAITS: Final = (10.0, 20.0, 40.0, 60.0)
"""Seconds before each next start; the last is for all that follow."""
STEADY_SECONDS: Final = 120.0
"""After which a node that ended is started as if for the first time."""
END_SECONDS: Final = 3.0
SECRET_BYTES: Final = 32
QUIET: Final = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}
Tell = Callable[[str], None]


class SuperNode:
    """Starts the SuperNode again and again until it is closed.

    Args:
        folder: the device's.
        fleet: to take part in.
        tell: told a sentence when the node ends.
        program: to start in place of `client.daemon.node`; tests give their own.
        waits: as `WAITS`; tests give shorter ones.
        health: makes what looks after one start's health port; tests give their own.
    """

    def __init__(
        self,
        folder: Path,
        fleet: Fleet,
        tell: Tell,
        *,
        program: Path | None = None,
        waits: Sequence[float] = WAITS,
        health: Callable[[int], NodeHealth] = NodeHealth,
    ) -> None:
        self._new_health = health
        self._health: NodeHealth | None = None
        self._folder = folder.absolute()
        self._fleet = fleet
        self._tell = tell
        self._program = program
        self._waits = waits
        self._process: asyncio.subprocess.Process | None = None
        self._words = LastWords(self._notice)
        self._refused = ""
        self._starts = 0
        self._closing = False

    @property
    def state(self) -> dict[str, Any]:
        """Whether the node runs and answers, its starts, last words, and what it refused last."""
        running = self._process is not None and self._process.returncode is None
        return {
            "address": self._fleet.address,
            "process": self._process.pid if running and self._process is not None else None,
            "health": self._health.state if running and self._health is not None else "",
            "starts": self._starts,
            "last": self._words.last,
            "refused": self._refused,
        }

    def _notice(self, text: str) -> None:
        """Once per reason: a server that asks again and again must not fill the log."""
        if text != self._refused:
            self._refused = text
            self._tell(f"fleet: {text}")

    async def keep(self) -> None:
        """Go on until cancelled."""
        failures = 0
        while not self._closing:
            began = time.monotonic()
            reason = await self._run_once()
            if self._closing:
                return
            failures = 0 if time.monotonic() - began > STEADY_SECONDS else failures
            wait = self._waits[min(failures, len(self._waits) - 1)]
            failures += 1
            self._tell(f"fleet: {reason}; the next try is in {wait:g} s")
            await asyncio.sleep(wait)

    async def close(self, patience: float = END_SECONDS) -> None:
        """End the node and all that it started."""
        self._closing = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()

    async def _run_once(self) -> str:
        """Start the node and wait for its end; why it ended, or why it could not be started."""
        try:
            check_files(self._fleet)
            port = free_port()
            command, environment = await asyncio.to_thread(self._prepared, port)
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self._folder / FLEET_FOLDER / "empty",
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except (UsageError, WorkError) as error:
            return str(error)
        except OSError as error:
            return f"the SuperNode can't be started ({error.strerror})"
        self._starts += 1
        code = await self._until_it_ends(self._process, self._new_health(port))
        if code is None:
            return "the SuperNode did not answer its health check any more and was ended"
        last = f": {self._words.last}" if self._words.last else ""
        trouble = await asyncio.to_thread(clock_trouble, self._fleet)
        return f"the SuperNode ended with code {code}{last}{'; ' + trouble if trouble else ''}"

    async def _until_it_ends(
        self, process: asyncio.subprocess.Process, health: NodeHealth
    ) -> int | None:
        """The code with which the node ended; None where it hung and was ended."""
        self._health = health
        hung = asyncio.create_task(health.hung())
        ended = asyncio.create_task(self._ended(process))
        try:
            await asyncio.wait({hung, ended}, return_when=asyncio.FIRST_COMPLETED)
            _signal_group(process.pid, signal.SIGKILL)
            code = await ended
            return None if hung.done() and hung.exception() is None else code
        finally:
            hung.cancel()
            ended.cancel()

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        if process.stdout is not None:
            await self._words.listen(process.stdout)
        return await process.wait()

    def _prepared(self, health: int) -> tuple[list[str], dict[str, str]]:
        place = private_folder(self._folder / FLEET_FOLDER)
        private_folder(place / "empty")
        home = private_folder(place / "flower")
        node = place / "node.toml"
        # A file, since Flower's parser of key="value" does not read every folder's name.
        write_atomically(node, f"vault-dir = {json.dumps(str(self._folder))}\n".encode())
        secret = place / "superexec.secret"
        write_atomically(secret, secrets.token_hex(SECRET_BYTES).encode())
        fleet, shown = self._fleet, {}
        if fleet.certificate:
            tunnel = prepared(fleet, place / "tunnel", free_port())
            fleet, shown = tunnel.fleet, {TUNNEL: str(tunnel.configuration)}
        command = [
            *(sys.executable, "-P", "-m", "client.daemon.launch", str(os.getpid())),
            *self._start(),
            *supernode_options(fleet, node, secret, free_port(), health),
        ]
        programs = self._program.parent if self._program else Path(sys.executable).parent
        return command, {**_environment(home, programs), **shown}

    def _start(self) -> list[str]:
        if self._program is not None:
            return [str(self._program)]
        return [sys.executable, "-P", "-m", NODE]


def supernode_options(fleet: Fleet, node: Path, secret: Path, port: int, health: int) -> list[str]:
    """The SuperNode's options; no secret is in them.

    Args:
        fleet: to take part in.
        node: file of the node's configuration.
        secret: file of what node and process starter share, so that no other process of this
            computer takes a task.
        port, health: loopback ports of the node and of its health service.
    """
    command = ["--superlink", fleet.address, "--node-config", str(node)]
    if fleet.insecure:
        command += ["--insecure"]
    else:
        command += ["--root-certificates", fleet.root_certificates]
    if fleet.private_key:
        command += ["--auth-supernode-private-key", fleet.private_key]
    command += ["--isolation", "process", "--superexec-auth-secret-file", str(secret)]
    command += ["--health-server-address", f"127.0.0.1:{health}"]
    return [*command, "--host", "127.0.0.1", "--port", str(port)]


def check_files(fleet: Fleet) -> None:
    """The fleet's files are there, and the device's key is closed to others.

    Raises:
        UsageError: one is not.
    """
    for name in (fleet.root_certificates, fleet.private_key, fleet.certificate):
        if name and not Path(name).is_file():
            raise UsageError(f"{name}: the file is missing, and device.json names it for the fleet")
    if fleet.private_key:
        mode = stat.S_IMODE(Path(fleet.private_key).stat().st_mode)
        if mode & 0o077:
            raise UsageError(
                f"{fleet.private_key}: others may read the device's key (mode {mode:04o}); "
                f"close it with `chmod 600 {fleet.private_key}`"
            )


def free_port() -> int:
    """A loopback port that is free now; should it be taken meanwhile, the node is started again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(home: Path, programs: Path) -> dict[str, str]:
    root = str(Path(client.__file__).resolve().parents[1])
    search = os.pathsep.join((str(programs), os.environ.get("PATH", "")))
    return {**os.environ, **QUIET, "FLWR_HOME": str(home), "PATH": search, "PYTHONPATH": root}


def _signal_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
