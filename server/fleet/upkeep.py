"""What a running server looks after beside its rounds: its programs, files and telling of both."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from common.errors import WorkError
from server.fleet.dashboard import write_dashboard
from server.fleet.events import Event, Told, bound_logs, round_event
from server.fleet.folder import FleetFolder
from server.fleet.health import PATIENCE, Health
from server.fleet.rounds import HISTORY
from server.fleet.service import Service

SERVED: Final = ("server/server.crt", "server/server.key", "ca/revoked.crl")
"""What the proxy reads when it starts or is reloaded."""
LEAST_FREE: Final = 64 * 2**20
"""Bytes of free disk without which no run is started."""


class Upkeep:
    """Looks after one service.

    Args:
        root: the fleet's folder.
        service: that runs.
        tell: told of what happens.
        health: in place of the service's own, for tests.
    """

    def __init__(
        self, root: Path, service: Service, tell: Told, *, health: Health | None = None
    ) -> None:
        self._root = root
        self._service = service
        self._tell = tell
        self._health = health or Health(service.checks())
        self._served = self._digest()
        self._reports = self._report_times()
        self._releases = self._released()
        self._troubles: dict[str, str] = {}

    def look(self) -> None:
        """Do what is due; to be called every few seconds.

        Raises:
            WorkError: the SuperLink hangs, or a program that hung does not start again.
        """
        self._check_health()
        self._reload()
        self._guarded("dashboard", "the dashboard could not be written", self._follow_rounds)
        self._guarded("log-cut", "a log could not be cut", self._bound_logs)

    def _check_health(self) -> None:
        for name in self._health.hung():
            if name == "superlink":
                raise WorkError(
                    f"the SuperLink has not answered its health check for {PATIENCE:.0f} s; the "
                    "server ends, start it again: rounds go on from the last checkpoint"
                )
            self._service.restart(name)
            self._health.restarted(name)
            told = f"{name} did not answer its health check and was started again"
            self._tell(Event("program-restarted", told, {"program": name}))

    def _reload(self) -> None:
        """The new certificate or revocation list to the proxy; once for each change."""
        if (now := self._digest()) == self._served:
            return
        self._served = now
        try:
            self._service.reload_proxy()
        except WorkError as error:
            self._tell(Event("proxy-refused", f"the proxy keeps what it has: {error}"))
            return
        told = "the proxy was reloaded: certificate or revocation list changed"
        self._tell(Event("proxy-reloaded", told))

    def _follow_rounds(self) -> None:
        """Tell of reports that are new or were written again, and draw the dashboard anew.

        A release comes a little after its round's report, and brings the round's accuracy.
        """
        now, released = self._report_times(), self._released()
        new = sorted(path for path, time in now.items() if self._reports.get(path) != time)
        drawn_before = not new and released == self._releases
        self._reports, self._releases = now, released
        for path in new:
            self._tell(round_event(json.loads(path.read_text(encoding="utf-8"))))
        if not drawn_before:
            write_dashboard(self._root)

    def _bound_logs(self) -> None:
        for name in bound_logs(self._service.settings.folder):
            self._tell(Event("log-cut", f"{name} grew too large and was cut", {"log": name}))

    def _guarded(self, name: str, failed: str, work: Callable[[], None]) -> None:
        """What can't be done, as on a full disk, is told of once and ends nothing."""
        try:
            work()
        except (OSError, WorkError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            trouble = f"{failed}: {why}"
            if trouble != self._troubles.get(name):
                self._tell(Event(f"{name}-failed", trouble))
            self._troubles[name] = trouble

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for name in SERVED:
            path = self._root / name
            content = path.read_bytes() if path.exists() else b""
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()

    def _released(self) -> int:
        return sum(1 for _ in (self._root / "releases").glob("[0-9]*.release"))

    def _report_times(self) -> dict[Path, int]:
        folder = FleetFolder(self._root).federation / HISTORY
        return {path: path.stat().st_mtime_ns for path in folder.glob("[0-9]*.json")}


def check_room(folder: Path, least: int = LEAST_FREE) -> None:
    """Whether a round's files have room.

    Raises:
        WorkError: less than `least` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < least:
        raise WorkError(
            f"{folder}: only {free / 2**20:.0f} MiB of the disk are free, rounds need "
            f"{least / 2**20:.0f}; make room: they then go on by themselves"
        )
