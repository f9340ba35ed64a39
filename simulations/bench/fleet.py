"""A fleet's server under load: scripted devices by the hundred, and a few real SuperNodes.

The server is the one that operators run, in a process of its own: SuperLink, executor and nginx,
TLS and signed requests on loopback. Scripted devices share one process and train nothing; real ones
are Flower's SuperNodes with a few made-up clips each.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from common.errors import WorkError
from common.heads.specification import HeadSpecification
from common.processes import end_session, free_port, last_words, start
from common.settings import FederationPlan
from server.authority.authority import Authority
from server.fleet.folder import FederationSettings, FleetFolder, Wanted
from server.fleet.rounds import RoundRules, reports
from server.fleet.service import STATE_FILE, running
from simulations.bench.fleet_nodes import RealNode
from simulations.bench.memory import megabytes
from simulations.engines.scripted_devices import Crowd, ScriptedDevice
from simulations.watching import Watcher

START_SECONDS: Final = 60.0
TERMINATED: Final = 128 + signal.SIGTERM
FLOWERS_FLOOR: Final = [3.0, 6.0]
"""Seconds of Flower's own FedAvg per round with nothing to do, 2 nodes (measured, 1.41)."""
_SERVER: Final = """
import sys
from pathlib import Path
from server.fleet.run import FleetServer
server = FleetServer(Path(sys.argv[1]))
server.stop_on_signals()
server.run()
"""


def measure_fleet(
    *, devices: int, nodes: int, rounds: int, seconds: float, dimension: int, watch: Watcher
) -> dict[str, Any]:
    """Measure a server with scripted devices, then one with real SuperNodes.

    Args:
        devices: scripted ones, at least 1.
        nodes: real SuperNodes; 0 leaves them out.
        rounds: head rounds of each fleet, beside the reference's.
        seconds: that each fleet may take at the most.
        dimension: of the scripted devices' features, at least 1.
        watch: told of progress.

    Returns:
        `scripted` and `real`, see `scripted_fleet` and `real_fleet`; `flowers_floor_seconds`, and
        the number of cores.

    Raises:
        WorkError: a fleet did not finish its rounds in time.
    """
    figures: dict[str, Any] = {
        "scripted": scripted_fleet(devices, rounds, seconds, dimension, watch)
    }
    if nodes:
        figures["real"] = real_fleet(nodes, rounds, seconds, watch)
    return figures | {"flowers_floor_seconds": FLOWERS_FLOOR, "cores": os.cpu_count()}


def scripted_fleet(
    devices: int, rounds: int, seconds: float, dimension: int, watch: Watcher
) -> dict[str, Any]:
    """Rounds with scripted devices: `seconds_per_round` (median of head rounds, with its spread),
    `errors` by kind, `bytes_per_update`, and PSS of the SuperLink in MB (1e6) before and after.
    """
    specification = HeadSpecification(
        kind="logistic", dimension=dimension, features="scripted/1", scatter=False
    )
    with _fleet(specification, quorum=devices, deadline=seconds) as fleet:
        crowd = fleet.crowd(devices, watch)
        before = fleet.superlink_megabytes()
        thread = threading.Thread(target=crowd.run)
        thread.start()
        try:
            fleet.await_rounds(rounds, seconds, watch)
            after = fleet.superlink_megabytes()
        finally:
            crowd.stop()
            thread.join()
            _leave(crowd.devices)
        done = reports(fleet.folder.federation)
    return {
        "devices": devices,
        "rounds": rounds,
        **_round_seconds(done),
        "accepted": [int(each["accepted"]) for each in done],
        "errors": dict(crowd.errors),
        "bytes_per_update": int(done[-1]["bytes"]) // devices,
        "superlink_pss_mb": [before, after],
    }


def real_fleet(nodes: int, rounds: int, seconds: float, watch: Watcher) -> dict[str, Any]:
    """Rounds with real SuperNodes that have next to no work: `seconds_per_round` as above, and
    `supernode_pss_mb`, the mean PSS of a device's resting programs after the rounds.
    """
    specification = HeadSpecification(kind="logistic", dimension=6, features="made-up/1")
    with _fleet(specification, quorum=nodes, deadline=60.0) as fleet:
        there = [RealNode(fleet.root, number, fleet.authority) for number in range(nodes)]
        try:
            for node in there:
                node.start(specification)
            fleet.await_rounds(rounds, seconds, watch)
            time.sleep(2.0)  # what the last message started has ended
            resting = [node.megabytes() for node in there]
        finally:
            for node in there:
                node.end()
        done = reports(fleet.folder.federation)
    return {
        "nodes": nodes,
        "rounds": rounds,
        **_round_seconds(done),
        "accepted": [int(each["accepted"]) for each in done],
        "supernode_pss_mb": round(statistics.mean(resting), 1),
    }


class _Fleet:
    """A server in a process of its own."""

    def __init__(self, scratch: Path, specification: HeadSpecification) -> None:
        self.root = scratch / "fleet"
        self.address = f"localhost:{free_port()}"
        self.authority = Authority.create(self.root, address=self.address)
        self.folder = FleetFolder(self.root)
        self.log = scratch / "server.log"
        self._specification = specification

    def begin(self, quorum: int, deadline: float) -> None:
        plan = FederationPlan(
            name="fleet", rounds=1, epochs=1, learning_rate=1.0, l2=0.01, memory=0, seed=0
        )
        rules = RoundRules(quorum=quorum, tries=3, patience=1.0)
        self.folder.begin(
            FederationSettings(
                specification=self._specification, plan=plan, rules=rules, deadline=deadline
            )
        )

    @contextmanager
    def launched(self) -> Iterator[None]:
        """Run the server while the block runs."""
        process = start(
            [sys.executable, "-c", _SERVER, str(self.root)],
            log=self.log,
            folder=Path(__file__).resolve().parents[2],
            environment=os.environ,
        )
        try:
            self.await_that((self.folder.service / STATE_FILE).exists, START_SECONDS, "starts")
            yield
        finally:
            end_session(process, patience=60.0)

    def crowd(self, devices: int, watch: Watcher) -> Crowd:
        """Enrolled, registered by the server, activated."""
        keys = []
        for number in range(devices):
            bundle = self.authority.add_device(f"scripted-{number:04d}")
            keys.append(_loaded(str(bundle.private_key)))
            watch("enrolling", number + 1, devices)
        limit = START_SECONDS + devices
        self.await_that(self._all_registered, limit, "registers devices")
        authority = (self.root / "ca/ca.crt").read_bytes()
        made = [ScriptedDevice(n, self.address, authority, key) for n, key in enumerate(keys)]
        for number, device in enumerate(made):
            device.activate()
            watch("activating", number + 1, devices)
        return Crowd(made)

    def await_rounds(self, rounds: int, seconds: float, watch: Watcher) -> None:
        self.folder.want(Wanted(rounds))

        def done() -> bool:
            watch("rounds", self.folder.rounds_done(), rounds)
            return self.folder.rounds_done() >= rounds

        self.await_that(done, seconds, "does its rounds")

    def await_that(self, there: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not there():
            if time.monotonic() > deadline:
                raise WorkError(
                    f"within {seconds:.0f} s it was not seen that the server {what}: "
                    f"{last_words(self.log)}"
                )
            time.sleep(0.2)

    def superlink_megabytes(self) -> float:
        pids = running(self.folder.service)["pids"]
        return megabytes(int(dict(pids)["superlink"]))  # type: ignore[call-overload]

    def _all_registered(self) -> bool:
        return all(device.node is not None for device in self.authority.devices.all())


@contextmanager
def _fleet(specification: HeadSpecification, *, quorum: int, deadline: float) -> Iterator[_Fleet]:
    with tempfile.TemporaryDirectory(prefix="mien-bench-") as scratch:
        fleet = _Fleet(Path(scratch), specification)
        fleet.begin(quorum, deadline)
        # Told to end, this process must still end the server that it started.
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
        try:
            with fleet.launched():
                yield fleet
        finally:
            signal.signal(signal.SIGTERM, before)


def _round_seconds(done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of head rounds; the first waits for devices to be there."""
    seconds = [sum(each["seconds"].values()) for each in done if each["round"] > 0]
    return {
        "seconds_per_round": round(statistics.median(seconds), 2),
        "seconds_per_round_spread": [round(min(seconds), 2), round(max(seconds), 2)],
        "reference_seconds": round(sum(done[0]["seconds"].values()), 2),
    }


def _leave(devices: Sequence[ScriptedDevice]) -> None:
    for device in devices:
        with suppress(httpx.HTTPError, RuntimeError):  # the server may have gone before
            device.leave()


def _loaded(text: str) -> ec.EllipticCurvePrivateKey:
    key = load_ssh_private_key(text.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise WorkError("a device's key is not on a NIST curve")
    return key
