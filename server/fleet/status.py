"""What an operator sees at a glance: from the folder and, while it runs, from the SuperLink."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.errors import WorkError
from common.releases.manifest import Manifest
from server.authority.authority import Authority
from server.defence import Quarantine
from server.fleet.check import About, about_table, accuracy_by_round
from server.fleet.control import Control
from server.fleet.folder import FleetFolder
from server.fleet.judge import QUARANTINE
from server.fleet.rounds import reports
from server.fleet.service import checks_of, running


@dataclass(frozen=True)
class DeviceStatus:
    """One device: its name, and whether it is online, offline, registered or revoked."""

    name: str
    status: str


@dataclass(frozen=True, kw_only=True)
class FleetStatus:
    """A fleet now.

    Attributes:
        fleet: id.
        address: at which devices reach the server.
        running: whether the server runs.
        paused: whether the operator paused the rounds.
        done, wanted: head rounds.
        run: status of Flower's newest run, as it was last noted.
        released: sequence number of the newest release, 0 before the first.
        devices: every enrolled device.
        due: certificates to be renewed: kind, name and end.
        rounds: reports of the rounds, first to last.
        quarantined: names of the devices in quarantine.
        releases: sequence, round, creation, metrics and privacy spent of each, first to last.
        check: the operator's test clips, None where none are named.
        programs: whether each of the server's programs answers its health check; none where no
            server runs or was killed.
    """

    fleet: str
    address: str
    running: bool
    paused: bool
    done: int
    wanted: int
    run: str
    released: int
    devices: tuple[DeviceStatus, ...]
    due: tuple[tuple[str, str, str], ...]
    rounds: tuple[dict[str, Any], ...]
    quarantined: tuple[str, ...] = ()
    releases: tuple[dict[str, Any], ...] = ()
    check: About | None = None
    programs: dict[str, bool] = field(default_factory=dict)

    @property
    def accuracy(self) -> tuple[dict[str, float], ...]:
        """By round, of the releases that were tested; see `server.fleet.check`."""
        return accuracy_by_round(self.releases)

    def to_json(self) -> dict[str, Any]:
        """A JSON document."""
        return {**asdict(self), "accuracy": list(self.accuracy)}


def fleet_status(root: Path) -> FleetStatus:
    """Look at a fleet.

    Raises:
        UsageError: there is none in the folder.
        WorkError: something in the folder is damaged.
    """
    authority, folder = Authority(root), FleetFolder(root)
    online = _online(folder, root)
    wanted = folder.wanted()
    releases = tuple(_release(manifest) for manifest in authority.registry.history())
    return FleetStatus(
        fleet=authority.settings.fleet,
        address=authority.settings.address,
        running=online is not None,
        paused=wanted.paused,
        done=folder.rounds_done(),
        wanted=wanted.rounds,
        run=str(folder.run_note().get("status", "none")),
        released=len(releases),
        devices=tuple(
            DeviceStatus(d.name, (online or {}).get(d.name, "offline") if d.active else "revoked")
            for d in authority.devices.all()
        ),
        due=tuple((due.kind, due.name, due.ends.date().isoformat()) for due in authority.due()),
        rounds=tuple(reports(folder.federation)),
        quarantined=tuple(sorted(Quarantine(folder.federation / QUARANTINE).cases())),
        releases=releases,
        check=about_table(folder.federation),
        programs=_programs(folder),
    )


def _release(manifest: Manifest) -> dict[str, Any]:
    return {
        "sequence": manifest.sequence,
        "round": manifest.round,
        "created": manifest.created,
        "metrics": dict(manifest.metrics),
        "epsilon": manifest.privacy.epsilon,
        "delta": manifest.privacy.delta,
    }


def _programs(folder: FleetFolder) -> dict[str, bool]:
    try:
        told: dict[str, Any] = running(folder.service)
    except WorkError:
        return {}
    checks = checks_of(str(told["address"]), int(told["port"]), told["health"])
    return {name: check() for name, check in checks.items()}


def _online(folder: FleetFolder, root: Path) -> dict[str, str] | None:
    """Status by device's name; None where no server runs."""
    try:
        told = running(folder.service)
        with Control(int(str(told["superlink"])), root / "ca/ca.crt") as control:
            return {node.name: node.status for node in control.nodes()}
    except WorkError:
        return None
