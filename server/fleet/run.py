"""`mien server run`: programs kept running, devices registered, the wanted rounds going."""

from __future__ import annotations

import fcntl
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_public_key,
)

from common.enrolment.bundle import split_address
from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically
from server.authority.authority import Authority
from server.authority.certificates import LOOPBACK, server_certificate
from server.authority.devices import Device
from server.authority.secrets import read_ec_key
from server.fleet.announcing import News, newest_after
from server.fleet.control import Control, Node
from server.fleet.events import Event, Told
from server.fleet.folder import FleetFolder
from server.fleet.judge import let_in
from server.fleet.metrics import serving_metrics
from server.fleet.service import Service, ServiceSettings
from server.fleet.upkeep import Upkeep, check_room

LOCK_FILE: Final = "server.lock"
LOOK_SECONDS: Final = 2.0
FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 60.0
COMPLETED: Final = "finished:completed"


def say(event: Event) -> None:
    """An event's sentence on standard output."""
    print(event.sentence, flush=True)


@dataclass
class FleetServer:
    """A fleet's server while it runs.

    Attributes:
        root: the fleet's folder.
        listen: address to listen on; None takes that at which devices reach the server.
        second_lock: whether devices must show their client certificate to the proxy.
        tell: told of what happens.
        metrics_port: loopback port on which Prometheus may read figures; 0 for none.
        name_devices: whether those figures name devices.
    """

    root: Path
    listen: tuple[str, int] | None = None
    second_lock: bool = False
    tell: Told = say
    metrics_port: int = 0
    name_devices: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)
    _run: int | None = None
    _only_news: bool = False
    _newest: int = 0
    _pause: float = FIRST_PAUSE
    _not_before: float = 0.0
    _full: str = ""

    def run(self) -> None:
        """Serve until `stop` is called.

        Raises:
            WorkError: a program did not start, or ended by itself.
        """
        self.root = self.root.resolve()
        self._folder = FleetFolder(self.root)
        self._news = News(self._folder.federation)
        self._authority = Authority(self.root)
        metrics = serving_metrics(self.root, self.metrics_port, name_devices=self.name_devices)
        with _alone(self.root), metrics, Service(self._settings()) as service:
            address = self._authority.settings.address
            told = f"devices reach this server at {address}"
            self.tell(Event("serving", told, {"address": address}))
            upkeep = Upkeep(self.root, service, self.tell)
            while not self._ended.wait(0):
                if ended := service.ended():
                    raise WorkError(ended)
                upkeep.look()
                with service.control() as control:
                    self._register(control)
                    self._keep_going(control)
                    self._bring_news(control)
                self._ended.wait(LOOK_SECONDS)
            if self._run is not None:
                with service.control() as control:
                    control.stop(self._run)
        self.tell(Event("ended", "the server has ended"))

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._ended.set()

    def stop_on_signals(self) -> None:
        """End on SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())

    def _register(self, control: Control) -> None:
        """Let in who was enrolled, and out who was revoked."""
        there = {node.name for node in _known(control)}
        for device in self._authority.devices.all():
            if device.active and device.name not in there:
                if let_in(self._folder.federation, device):
                    told = f"device {device.name} has a new key and is in quarantine no more"
                    self.tell(Event("quarantine-ended", told, {"device": device.name}))
                node = control.register(device.name, _public_key(device))
                self._authority.devices.set_node(device, node)
                told = f"device {device.name} may take part"
                self.tell(Event("device-registered", told, {"device": device.name}))

        known = {node.id for node in _known(control)}  # with those of this very pass

        def forget(device: Device) -> None:
            if device.node is not None and device.node in known:
                control.unregister(device.node)
                told = f"device {device.name} was revoked and may take part no more"
                self.tell(Event("device-revoked", told, {"device": device.name}))

        self._authority.forget_revoked(forget)

    def _keep_going(self, control: Control) -> None:
        """Start a run where rounds are wanted and none goes on; note why the last one ended."""
        if self._run is not None:
            status = control.status(self._run)
            if not status.startswith("finished"):
                return
            self._ended_as(status)
        waiting = time.monotonic() < self._not_before
        if not waiting and self._folder.rounds_due() and self._has_room():
            self._start(control)
            self._note("started")
            wanted = self._folder.wanted().rounds
            told = f"rounds go on up to {wanted}"
            self.tell(Event("run-started", told, {"run": self._run, "wanted": wanted}))

    def _bring_news(self, control: Control) -> None:
        """Start a run for the newest release alone, where no rounds bring it."""
        if self._run is not None or time.monotonic() < self._not_before:
            return
        online = [node.id for node in _known(control) if node.status == "online"]
        self._newest = newest_after(self._authority.registry, self._newest)
        if self._news.due(self._newest, online):
            self._start(control, only_news=True)
            told = f"release {self._newest} is brought to devices"
            self.tell(Event("release-brought", told, {"run": self._run, "release": self._newest}))

    def _start(self, control: Control, *, only_news: bool = False) -> None:
        self._run = control.start({"fleet-folder": str(self.root)})
        self._only_news = only_news

    def _ended_as(self, status: str) -> None:
        if not (self._only_news and status == COMPLETED):
            self._note(status)
            self._tell_of_end(status)
        self._run = None

    def _tell_of_end(self, status: str) -> None:
        done = self._folder.rounds_done()
        if status == COMPLETED:
            self._pause, told = FIRST_PAUSE, f"{done} round(s) are done"
        else:
            self._not_before = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            told = f"the run ended as {status}; it goes on from its last checkpoint"
        self.tell(Event("run-ended", told, {"run": self._run, "status": status, "done": done}))

    def _has_room(self) -> bool:
        """Whether a run may start; a full disk is told of once."""
        try:
            check_room(self.root)
        except WorkError as error:
            if not self._full:
                self._full = str(error)
                self.tell(Event("disk-full", self._full))
            return False
        self._full = ""
        return True

    def _note(self, status: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            self._folder.note_run({"run": self._run, "status": status, "at": now})
        except OSError as error:
            told = f"{self.root}: what became of a run could not be noted ({error.strerror})"
            self.tell(Event("note-failed", told))

    def _settings(self) -> ServiceSettings:
        folder = private_folder(self._folder.service)
        certificate, key = self._internal_certificate(folder)
        address, port = self.listen or split_address(self._authority.settings.address)
        return ServiceSettings(
            folder=folder,
            address=address,
            port=port,
            authority=self.root / "ca/ca.crt",
            server_certificate=self.root / "server/server.crt",
            server_key=self.root / "server/server.key",
            loopback_certificate=certificate,
            loopback_key=key,
            secret=self.root / "superexec.secret",
            device_authority=self.root / "ca/ca.crt" if self.second_lock else None,
            revoked=self.root / "ca/revoked.crl" if self.second_lock else None,
        )

    def _internal_certificate(self, folder: Path) -> tuple[Path, Path]:
        """A fresh certificate for loopback: the public one need not name it."""
        key = ec.generate_private_key(ec.SECP384R1())
        ca_key = read_ec_key(self.root / "ca/ca.key")
        made = server_certificate(
            self._authority.ca, ca_key, key.public_key(), LOOPBACK, datetime.now(UTC)
        )
        paths = folder.resolve() / "loopback.crt", folder.resolve() / "loopback.key"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_atomically(paths[0], made.public_bytes(Encoding.PEM))
        write_atomically(paths[1], secret)
        return paths


def _known(control: Control) -> list[Node]:
    """The nodes that the SuperLink lets in."""
    return [node for node in control.nodes() if node.status != "unregistered"]


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep a second server away from the folder; the system ends the lock with the process.

    Raises:
        UsageError: one runs there already.
    """
    with (root / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"{root}: a server runs on this folder already; end it first"
            ) from error
        yield


def _public_key(device: Device) -> ec.EllipticCurvePublicKey:
    key = load_ssh_public_key(device.public_key.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise WorkError(f"the key of device {device.name} is not on a NIST curve")
    return key
