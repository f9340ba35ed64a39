"""The programs of a fleet's server: SuperLink, its executor, and the proxy before them.

The SuperLink keeps its state in memory: updates would stay readable in a database file long after
a run. What must last (who is registered, which rounds are done) is kept by Mien, and told to the
SuperLink anew at each start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import server
from common.errors import WorkError
from common.files import private_folder, write_atomically
from common.processes import (
    QUIET,
    await_port,
    command_line,
    end_session,
    end_sessions_of,
    free_port,
    last_words,
    program,
    start,
)
from server.fleet import proxy
from server.fleet.control import Control
from server.fleet.events import bound_logs
from server.fleet.health import Check, grpc_check, reachable, tls_check
from server.fleet.proxy import ProxySettings, write_configuration

EXECUTOR: Final = "server.fleet.executor"
START_SECONDS: Final = 60.0
STATE_FILE: Final = "service.json"
"""There from when all programs listen."""
PROGRAMS_FILE: Final = "programs.json"
"""Process ids by name, from each program's start on: who is killed meanwhile leaves them behind."""
POLLING: Final = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1"}


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What a fleet's server needs to start.

    Attributes:
        folder: for logs, the proxy's configuration and Flower's own files; 0700.
        address, port: that devices connect to.
        authority: CA certificate, PEM.
        server_certificate, server_key: certificate that devices see and its private key, PEM.
        loopback_certificate, loopback_key: of the SuperLink, for `localhost`, PEM.
        secret: file that the SuperLink and its executor share.
        device_authority, revoked: see `ProxySettings`.
    """

    folder: Path
    address: str
    port: int
    authority: Path
    server_certificate: Path
    server_key: Path
    loopback_certificate: Path
    loopback_key: Path
    secret: Path
    device_authority: Path | None = None
    revoked: Path | None = None


@dataclass
class Service:
    """The running programs; ends all of them as a context manager.

    Attributes:
        settings: what it was started with.
        superlink: loopback port of the SuperLink.
        health: loopback ports of SuperLink's and SuperExec's health services.
    """

    settings: ServiceSettings
    superlink: int = field(default_factory=free_port)
    health: dict[str, int] = field(
        default_factory=lambda: {name: free_port() for name in ("superlink", "superexec")}
    )
    _programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Service:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def control(self) -> Control:
        """A connection to the SuperLink's control routes."""
        return Control(self.superlink, self.settings.authority)

    def ended(self) -> str | None:
        """Which program has ended by itself, and its last words; None while all run."""
        for name, process in self._programs.items():
            if process.poll() is not None:
                return f"{name} ended: {last_words(self._log(name))}"
        return None

    def checks(self) -> dict[str, Check]:
        """Questions by program's name, whether it answers."""
        return checks_of(self.settings.address, self.settings.port, self.health)

    def restart(self, name: str) -> None:
        """End one program for sure, and start it again.

        Raises:
            WorkError: it does not start.
        """
        end_session(self._programs.pop(name), patience=0.0)
        for program_name, command, at in self._commands():
            if program_name == name:
                self._start_program(name, command, at)
        self._write_state()

    def reload_proxy(self) -> None:
        """Let the proxy read certificate and revocation list again; connections stay.

        Raises:
            WorkError: nginx refuses what is there now; it goes on with what it read before.
        """
        write_configuration(self._proxy(), self.settings.folder / "proxy")
        self._programs["proxy"].send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End all programs, the proxy first, and what they started."""
        for name in reversed(list(self._programs)):
            end_session(self._programs.pop(name))
        _forget(self.settings.folder)

    def _start(self) -> None:
        private_folder(self.settings.folder)
        end_leftovers(self.settings.folder)
        bound_logs(self.settings.folder)
        for name, command, at in self._commands():
            self._start_program(name, command, at)
        self._write_state()

    def _start_program(self, name: str, command: list[str], at: tuple[str, int] | None) -> None:
        log = self._log(name)
        empty = private_folder(self.settings.folder / "empty")
        process = start(command, log=log, folder=empty, environment=self._environment())
        self._programs[name] = process
        self._write_programs()
        if at is not None:
            host, port = at
            await_port(port, process, name=name, log=log, patience=START_SECONDS, host=host)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **QUIET,
            **POLLING,
            "PYTHONPATH": str(Path(server.__file__).resolve().parents[1]),
            "FLWR_HOME": str(private_folder(self.settings.folder / "flower")),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    def _pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._programs.items()}

    def _write_programs(self) -> None:
        path = self.settings.folder / PROGRAMS_FILE
        write_atomically(path, json.dumps(self._pids()).encode())

    def _write_state(self) -> None:
        told = {
            "superlink": self.superlink,
            "port": self.settings.port,
            "address": self.settings.address,
            "health": self.health,
            "pids": self._pids(),
        }
        write_atomically(self.settings.folder / STATE_FILE, json.dumps(told).encode())

    def _commands(self) -> list[tuple[str, list[str], tuple[str, int] | None]]:
        """Name, command, and where it is to be reached, in the order of starting."""
        settings = self.settings
        secret = ["--superexec-auth-secret-file", str(settings.secret)]
        superlink = [
            *(program("flower-superlink"), "--enable-supernode-auth", "--isolation", "process"),
            *("--ssl-ca-certfile", str(settings.authority)),
            *("--ssl-certfile", str(settings.loopback_certificate)),
            *("--ssl-keyfile", str(settings.loopback_key)),
            *("--host", "127.0.0.1", "--port", str(self.superlink)),
            *("--health-server-address", f"127.0.0.1:{self.health['superlink']}"),
            *("--disable-runtime-dependency-installation", *secret),
        ]
        executor = [
            *(sys.executable, "-P", "-m", EXECUTOR),
            *("--runtime-api-address", f"localhost:{self.superlink}"),
            *("--root-certificates", str(settings.authority), *secret),
            *("--health-server-address", f"127.0.0.1:{self.health['superexec']}"),
        ]
        configuration = write_configuration(self._proxy(), settings.folder / "proxy")
        return [
            ("superlink", superlink, ("127.0.0.1", self.superlink)),
            ("superexec", executor, None),
            ("proxy", proxy.command(configuration), (reachable(settings.address), settings.port)),
        ]

    def _proxy(self) -> ProxySettings:
        settings = self.settings
        return ProxySettings(
            address=settings.address,
            port=settings.port,
            superlink=self.superlink,
            certificate=settings.server_certificate,
            key=settings.server_key,
            authority=settings.authority,
            device_authority=settings.device_authority,
            revoked=settings.revoked,
        )

    def _log(self, name: str) -> Path:
        return self.settings.folder / f"{name}.log"


def checks_of(address: str, port: int, health: Mapping[str, int]) -> dict[str, Check]:
    """Questions by program's name, whether it answers.

    Args:
        address, port: of the proxy.
        health: loopback ports of the programs with a health service.
    """
    asked: dict[str, Check] = {name: partial(grpc_check, port) for name, port in health.items()}
    return {**asked, "proxy": partial(tls_check, reachable(address), port)}


def end_leftovers(folder: Path) -> None:
    """End what a server that was killed left running: by id, and only what is its own.

    An id may be another program's by now; its command line then does not name the fleet's folder.
    """
    for pid in _left(folder):
        if _names(command_line(pid), folder.resolve().parent):
            end_sessions_of(pid)
    _forget(folder)


def _left(folder: Path) -> list[int]:
    """Process ids of programs that were started in `folder`; none where the file is damaged."""
    try:
        told = json.loads((folder / PROGRAMS_FILE).read_text(encoding="utf-8"))
        return [int(pid) for pid in told.values()]
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return []


def _names(command: str, root: Path) -> bool:
    """Whether a word of a command line is a path in the fleet's folder, which has no spaces."""
    return any(Path(word).is_relative_to(root) for word in command.split())


def _forget(folder: Path) -> None:
    for name in (STATE_FILE, PROGRAMS_FILE):
        (folder / name).unlink(missing_ok=True)


def running(folder: Path) -> dict[str, object]:
    """Ports and process ids of the service that runs in `folder`.

    Raises:
        WorkError: none does.
    """
    try:
        told: dict[str, object] = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WorkError(f"no server runs in {folder}; start one: mien server run") from error
    return told
