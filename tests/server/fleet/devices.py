"""Real devices for a fleet under test: SuperNodes with folders of made-up clips."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from client.store import DeviceFolder, DeviceSettings
from common.clips import ClipSet
from common.heads.specification import HeadSpecification
from common.heads.universal import UniversalHead
from common.processes import QUIET, end_session, end_sessions_of, free_port, program, start
from common.randomness import generator
from common.settings import FederationPlan
from server.authority.authority import Authority
from server.fleet.folder import FederationSettings, FleetFolder, Wanted
from server.fleet.rounds import RoundRules, reports
from server.fleet.service import running

SPECIFICATION = HeadSpecification(kind="logistic", dimension=6, features="made-up/1")
PLAN = FederationPlan(
    name="fleet", rounds=1, epochs=1, learning_rate=5.0, l2=0.01, memory=0, seed=3
)
RESTART_SECONDS = 5.0
SERVER = """
import sys
from pathlib import Path
from server.fleet.run import FleetServer
server = FleetServer(Path(sys.argv[1]))
server.stop_on_signals()
server.run()
"""


def made_up_clips(device: int) -> ClipSet:
    """24 clips of three users, every expression in each."""
    draw = generator(5, "made-up clips", client=device)
    labels = np.arange(24) % 8
    frames = draw.normal(size=(24, 6)) + np.eye(8, 6)[labels]
    return ClipSet(
        tuple(f"clip-{device}-{number}" for number in range(24)),
        tuple(f"user-{device}-{number // 8}" for number in range(24)),
        labels.astype(np.int64),
        frames.astype(np.float32),
        np.ones(24, dtype=np.int64),
    )


class Device:
    """A device with its own folder, key and SuperNode."""

    def __init__(self, root: Path, number: int, authority: Authority) -> None:
        self.name = f"device-{number}"
        self.folder = root / self.name
        self.state = DeviceFolder(self.folder / "state")
        self.state.create(
            DeviceSettings(specification=SPECIFICATION, seed=0), made_up_clips(number)
        )
        bundle = authority.add_device(self.name)
        self._address = bundle.address
        self.environment: dict[str, str] = {}
        (self.folder / "ca.crt").write_text(bundle.ca)
        (self.folder / "key").write_text(str(bundle.private_key))
        (self.folder / "key").chmod(0o600)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            *(program("flower-supernode"), "--superlink", self._address),
            *("--root-certificates", str(self.folder / "ca.crt")),
            *("--auth-supernode-private-key", str(self.folder / "key")),
            *("--node-config", f'state-dir="{self.state.path}"'),
            *("--host", "127.0.0.1", "--port", str(free_port())),
        ]
        home = {"FLWR_HOME": str(self.folder / "flower")}
        self.process = start(
            command,
            log=self.folder / "log",
            folder=self.folder,
            environment={**os.environ, **QUIET, **home, "PATH": path(), **self.environment},
        )

    def kill(self) -> None:
        """`kill -9`, its running apps included, as a power cut would."""
        assert self.process is not None
        kill_session(self.process)

    def end(self) -> None:
        if self.process is not None:
            end_session(self.process)
            self.process = None


class Fleet:
    """A server in a process of its own, and its devices."""

    def __init__(
        self,
        root: Path,
        devices: int,
        *,
        deadline: float,
        tries: int = 30,
        quorum: int | None = None,
        plan: FederationPlan = PLAN,
        reference: UniversalHead | None = None,
    ) -> None:
        self.root = root / "fleet"
        self.port = free_port()
        self.authority = Authority.create(self.root, address=f"localhost:{self.port}")
        self.folder = FleetFolder(self.root)
        self.folder.begin(
            FederationSettings(
                specification=SPECIFICATION,
                plan=plan,
                rules=RoundRules(quorum=quorum or devices, tries=tries, patience=1.0),
                deadline=deadline,
            ),
            reference,
        )
        self.devices = [Device(root, number, self.authority) for number in range(devices)]
        self._log = root / "server.log"
        self._scratch = root / "tmp"
        self._scratch.mkdir()
        self.server: subprocess.Popen[bytes] | None = None
        self._next_start = 0.0

    def start(self) -> None:
        self.start_server()
        for device in self.devices:
            device.start()

    def start_server(self) -> None:
        self.server = start(
            [sys.executable, "-c", SERVER, str(self.root)],
            log=self._log,
            folder=Path(__file__).resolve().parents[3],
            environment={**os.environ, "PATH": path(), "TMPDIR": str(self._scratch)},
        )

    def kill_server(self) -> None:
        """`kill -9` of the one process; what it started is left behind."""
        assert self.server is not None
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.wait()

    @contextmanager
    def network_cut(self) -> Iterator[None]:
        """Nothing comes through the proxy: its processes are stopped while the block runs.

        The server may take it for hung meanwhile and start it again; who is gone is not continued.
        """
        leader = proxy_of(self)
        os.killpg(leader, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(leader, signal.SIGCONT)

    def train_messages(self) -> int:
        """How many requests for an update the devices have received."""
        logs = [device.folder / "log" for device in self.devices]
        return sum(log.read_text().count("Receiving: train message") for log in logs)

    def want(self, rounds: int) -> None:
        self.folder.want(Wanted(rounds))

    def await_rounds(self, rounds: int, patience: float = 200) -> None:
        self.await_that(lambda: self.folder.rounds_done() >= rounds, patience)

    def await_that(self, there: Callable[[], bool], patience: float = 60) -> None:
        deadline = time.monotonic() + patience
        while not there():
            assert time.monotonic() < deadline, self._log.read_text()[-2000:]
            self._start_what_ended()
            time.sleep(0.2)

    def _start_what_ended(self) -> None:
        """As a service manager would, at most every few seconds."""
        if time.monotonic() < self._next_start:
            return
        self._next_start = time.monotonic() + RESTART_SECONDS
        for device in self.devices:
            if device.process is not None and device.process.poll() is not None:
                device.start()
        if self.server is not None and self.server.poll() is not None:
            self.start_server()

    def reports(self) -> list[dict[str, object]]:
        return reports(self.folder.federation)

    def end(self) -> None:
        for device in self.devices:
            device.end()
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            self.server.wait(60)


def proxy_of(fleet: Fleet) -> int:
    """Process id of the running proxy, which leads a session of its own."""
    pids = running(fleet.folder.service)["pids"]
    assert isinstance(pids, dict)
    return int(pids["proxy"])


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a program and to all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    end_sessions_of(process.pid, patience=0.0)


def path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
