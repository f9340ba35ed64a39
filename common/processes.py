"""Programs that Mien starts and ends: each in a session of its own, and none is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common.errors import WorkError
from common.files import PRIVATE_FILE

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OPENVINO_TELEMETRY_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
}
"""What Flower's programs are told: no telemetry, no look for updates, no installing."""

STOP_SECONDS = 20.0
CONNECT_SECONDS = 3.0
LAST_WORDS = 3


def program(name: str) -> str:
    """Path of a program that is installed beside this Python."""
    return str(Path(sys.executable).parent / name)


def start(
    command: Sequence[str], *, log: Path, folder: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program in its own session, what it says appended to `log` (mode 0600)."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    with os.fdopen(descriptor, "ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(
    port: int,
    process: subprocess.Popen[bytes],
    *,
    name: str,
    log: Path,
    patience: float,
    host: str = "127.0.0.1",
) -> None:
    """Wait until a started program listens on a port of `host`, a name or an IP address.

    Raises:
        WorkError: it ended, or did not within `patience` seconds; with its log's last words.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.poll() is None:
        if _listens(host, port):
            return
        time.sleep(0.1)
    raise WorkError(f"{name} did not start: {last_words(log)}")


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def last_words(log: Path) -> str:
    """The last lines of a log, as one."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "it left no log"
    return " ".join(text.strip().splitlines()[-LAST_WORDS:]) or "it said nothing"


def complaint(command: Sequence[str], *, patience: float) -> str | None:
    """What a program that checks something says against it, as one line; None where it is content.

    One that is not done within `patience` seconds is ended, and that is the complaint.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=patience
        )
    except subprocess.TimeoutExpired:
        return f"it was not done within {patience:g} s, as where no name server answers"
    return " ".join(done.stderr.split()) if done.returncode else None


def end_session(process: subprocess.Popen[bytes], patience: float = STOP_SECONDS) -> None:
    """End a program and all that it started (they share its session), gently, then for sure."""
    end_sessions_of(process.pid, patience, reap=process.poll)
    process.wait()


def end_sessions_of(
    leader: int, patience: float = STOP_SECONDS, *, reap: Callable[[], object] = lambda: None
) -> None:
    """End a session by its leader's id, which need not be this process's child."""
    members = _session(leader)
    for end in (signal.SIGTERM, signal.SIGKILL):
        for member in members:
            _signal(member, end)
        deadline = time.monotonic() + patience
        while members and time.monotonic() < deadline:
            time.sleep(0.05)
            reap()
            members = _session(leader)
        if not members:
            return


def command_line(pid: int) -> str:
    """A running process's command line; empty where there is none."""
    told = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return told.stdout.strip()


def _session(leader: int) -> list[int]:
    """Process ids whose session is the leader's, from ps."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,sid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split() for line in listed.splitlines())
    return [int(pid) for pid, sid, state in rows if int(sid) == leader and state[0] != "Z"]


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
