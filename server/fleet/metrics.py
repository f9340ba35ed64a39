"""Figures for Prometheus, on loopback alone, read from the fleet's folder when they are asked for.

Counters are sums over the rounds' reports on disk, so that they go on where the server is started
again. Devices are counted, and named only where the operator asks for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.errors import MienError, UsageError
from server.fleet.events import outcomes_of
from server.fleet.status import FleetStatus, fleet_status

LOOPBACK: Final = "127.0.0.1"
LARGEST_PORT: Final = 65535


class FleetCollector(Collector):
    """A fleet's figures at each look.

    Args:
        look: gives the fleet's status.
        name_devices: whether to tell each device's state under its name.
    """

    def __init__(self, look: Callable[[], FleetStatus], *, name_devices: bool = False) -> None:
        self._look = look
        self._name_devices = name_devices

    def collect(self) -> Iterator[Metric]:
        """All figures; `mien_folder_readable` 0 alone where the folder can't be read."""
        try:
            now = self._look()
        except (MienError, OSError):
            yield _gauge("folder_readable", "Whether the fleet's folder can be read.", 0)
            return
        yield _gauge("folder_readable", "Whether the fleet's folder can be read.", 1)
        yield from _federation(now)
        yield from _rounds(now.rounds)
        yield from _devices(now)
        yield from _releases(now)
        if self._name_devices:
            yield _named_devices(now)

    def describe(self) -> list[Metric]:
        """Nothing: registering the collector need not look at the folder."""
        return []


@contextmanager
def serving_metrics(root: Path, port: int, *, name_devices: bool = False) -> Iterator[None]:
    """Serve a fleet's figures on a loopback port while the block runs; 0 serves none.

    Raises:
        UsageError: the port is out of range or in use.
    """
    if not 0 <= port <= LARGEST_PORT:
        raise UsageError(f"metrics port is {port}, expected 0 (none) to {LARGEST_PORT}")
    if port == 0:
        yield
        return
    registry = CollectorRegistry()
    registry.register(FleetCollector(lambda: fleet_status(root), name_devices=name_devices))
    try:
        server, thread = start_http_server(port, addr=LOOPBACK, registry=registry)
    except OSError as error:
        raise UsageError(
            f"metrics port {port} can't be used ({error.strerror}); give another by --metrics-port"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _federation(now: FleetStatus) -> Iterator[Metric]:
    yield _gauge("rounds_done", "Head rounds whose checkpoint is on disk.", now.done)
    yield _gauge("rounds_wanted", "Head rounds that the operator wants in all.", now.wanted)
    yield _gauge("rounds_paused", "Whether the operator paused the rounds.", int(now.paused))
    yield _gauge("superlink_up", "Whether the SuperLink answers.", int(now.running))
    told = "Whether a program answers its health check."
    answering = {name: float(answers) for name, answers in now.programs.items()}
    yield _gauges("program_healthy", told, "program", answering)


def _rounds(rounds: tuple[Mapping[str, Any], ...]) -> Iterator[Metric]:
    """Sums over all rounds, and the last one by itself."""
    outcomes: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for report in rounds:
        outcomes.update(outcomes_of(report))
        seconds.update(report["seconds"])
    yield _counters("updates", "Devices' answers by outcome.", "outcome", outcomes)
    yield _counters("round_seconds", "Seconds spent in rounds by phase.", "phase", seconds)
    total = sum(int(report["bytes"]) for report in rounds)
    tries = sum(int(report["tries"]) for report in rounds)
    yield CounterMetricFamily("mien_update_bytes", "Bytes of accepted updates.", value=total)
    yield CounterMetricFamily("mien_round_tries", "Times that rounds were asked for.", value=tries)
    if not rounds:
        return
    last = rounds[-1]
    finished = datetime.fromisoformat(last["finished"]).timestamp()
    yield _gauge("last_round_finished_timestamp_seconds", "When the last round ended.", finished)
    told = "The last round's answers by outcome."
    yield _gauges("last_round_updates", told, "outcome", outcomes_of(last))
    told = "The last round's seconds by phase."
    yield _gauges("last_round_seconds", told, "phase", last["seconds"])


def _devices(now: FleetStatus) -> Iterator[Metric]:
    states = {"online": 0, "offline": 0, "revoked": 0} | Counter(d.status for d in now.devices)
    yield _gauges("devices", "Enrolled devices by state.", "status", states)
    told = "Devices left out until the operator lets them in."
    yield _gauge("devices_quarantined", told, len(now.quarantined))
    due = {"ca": 0, "server": 0, "device": 0} | Counter(kind for kind, _, _ in now.due)
    yield _gauges("certificates_due", "Certificates to be renewed by kind.", "kind", due)


def _releases(now: FleetStatus) -> Iterator[Metric]:
    yield _gauge("release_sequence", "Number of the newest release, 0 for none.", now.released)
    if not now.releases:
        return
    last = now.releases[-1]
    created = datetime.fromisoformat(last["created"]).timestamp()
    yield _gauge("release_created_timestamp_seconds", "When the newest release was made.", created)
    if now.accuracy:
        newest = {name: value for name, value in now.accuracy[-1].items() if name != "round"}
        told = "The newest tested release on the operator's test clips, 0 to 1."
        yield _gauges("release_accuracy", told, "figure", newest)
        told = "The head round of the newest tested release."
        yield _gauge("release_tested_round", told, now.accuracy[-1]["round"])
    if last["epsilon"] is not None:
        told = "Differential privacy spent on the newest release, at its delta."
        yield _gauge("release_privacy_epsilon", told, float(last["epsilon"]))


def _named_devices(now: FleetStatus) -> Metric:
    told = "Whether a device is online."
    family = GaugeMetricFamily("mien_device_online", told, labels=["device"])
    for device in now.devices:
        family.add_metric([device.name], float(device.status == "online"))
    return family


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"mien_{name}", told, value=value)


def _gauges(name: str, told: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"mien_{name}", told, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counters(name: str, told: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"mien_{name}", told, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
