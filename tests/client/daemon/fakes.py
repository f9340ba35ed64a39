"""Small devices for the daemon's tests, and a daemon in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.daemon.settings import DaemonSettings
from client.daemon.socket import ask
from client.daemon.workers import Workers
from client.device.place import write_device
from client.vault.keys import KeyFile, make_key_file
from client.vault.records import CONSENT_VERSION, Consent, User
from client.vault.vault import Vault, create_vault, unlock
from common.errors import MienError

ROOT = Path(__file__).resolve().parents[3]
FAKE_WORKER = (sys.executable, "-P", "-m", "tests.client.daemon.fake_worker")
PATIENCE = 60.0
"""Seconds until what must come is taken for lost."""
PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from client.daemon import taking
from client.daemon.daemon import run
from client.daemon.settings import load_settings
from client.daemon.workers import Workers
from client.vault.keys import KeyFile
from client.vault.vault import unlock
from common.errors import MienError

taking.POLL_SECONDS, taking.LEARN_SECONDS = 0.1, 0.5
folder, command = Path(sys.argv[1]), json.loads(sys.argv[2]) or None
try:
    key = unlock(folder, KeyFile(folder.parent / "key"))
    settings = load_settings(folder)
    workers = Workers(folder, key, settings=settings, command=command)
    asyncio.run(run(folder, key, settings, workers=workers))
except MienError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@dataclass(frozen=True)
class MadeDevice:
    """A device's folder with a key file beside it."""

    folder: Path
    data_key: bytes = field(repr=False)

    @property
    def inbox(self) -> Path:
        return self.folder.parent / "inbox"

    def workers(self, *, idle: float = 60.0, backbone: str = "") -> Workers:
        settings = DaemonSettings(idle_seconds=idle, backbone=backbone)
        return Workers(self.folder, self.data_key, settings=settings, command=FAKE_WORKER)

    def vault(self) -> Vault:
        return Vault(self.folder, self.data_key)


def make_device(root: Path, **settings: Any) -> MadeDevice:
    folder = root / "device"
    root.mkdir(parents=True, exist_ok=True)
    (root / "inbox").mkdir()
    make_key_file(root / "key")
    create_vault(folder, KeyFile(root / "key")).close()
    key = {"source": "file", "path": str(root / "key")}
    known = {"inboxes": [str(root / "inbox")], "settle_seconds": 0.2, "idle_seconds": 60}
    write_device(folder, {"key": key, **known, **settings})
    return MadeDevice(folder, unlock(folder, KeyFile(root / "key")))


def add_user(device: MadeDevice, name: str = "Ada") -> User:
    consent = Consent(version=CONSENT_VERSION, given="2026-01-01T00:00:00+00:00", federate=True)
    user = User(id="a" * 32, name=name, enrolled=consent.given, consent=consent)
    with device.vault() as vault:
        vault.save_user(user)
    return user


@contextmanager
def daemon_process(
    device: MadeDevice, command: Sequence[str] = FAKE_WORKER
) -> Iterator[subprocess.Popen[str]]:
    """A daemon that answers; killed at the end if it still runs. No command: the real worker."""
    with start_daemon(device, command) as process:
        try:
            wait_for(lambda: answers(device) or process.poll() is not None)
            yield process
        finally:
            process.kill()


def start_daemon(device: MadeDevice, command: Sequence[str] = FAKE_WORKER) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(device.folder), json.dumps(list(command))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(device: MadeDevice) -> bool:
    return ask(device.folder, "status") is not None


def status(device: MadeDevice) -> dict[str, Any]:
    told = ask(device.folder, "status")
    assert told is not None, "the daemon does not answer"
    return told


def wait_for(
    condition: Callable[[], object], *, patience: float = PATIENCE, pause: float = 0.02
) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(pause)


def alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def recognise(path: Path | None, name: str = "clip.mp4") -> dict[str, Any]:
    return {
        "do": "recognise",
        "path": None if path is None else str(path),
        "name": name,
        "keep": True,
    }


async def parts(*data: bytes) -> AsyncIterator[bytes]:
    for each in data:
        yield each


def refusal(act: Callable[[], object]) -> str:
    """The sentence that refuses an act, empty where it is done; anything else is raised."""
    try:
        act()
    except MienError as error:
        return str(error)
    return ""
