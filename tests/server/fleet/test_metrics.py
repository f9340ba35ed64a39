"""Prometheus figures: those of the reports, on loopback alone, without devices' names."""

from __future__ import annotations

import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from common.errors import UsageError, WorkError
from common.processes import free_port
from server.authority.authority import Authority
from server.fleet.metrics import FleetCollector, serving_metrics
from server.fleet.status import DeviceStatus, FleetStatus
from tests.server.fleet.statuses import release, report, status

Samples = dict[tuple[str, str], float]


def samples(text: str) -> Samples:
    """Values by name and label's value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, next(iter(sample.labels.values()), "")] = sample.value
    return found


def collected(now: FleetStatus, *, name_devices: bool = False) -> str:
    registry = CollectorRegistry()
    registry.register(FleetCollector(lambda: now, name_devices=name_devices))
    return generate_latest(registry).decode()


def test_figures_are_sums_over_the_reports() -> None:
    now = status(
        rounds=(
            report(0, refused=["kitchen: not finite (w)"], late=3, tries=2),
            report(1, failures=["1 device(s) did not answer in time"], bytes=70),
        ),
        devices=(
            *tuple(DeviceStatus(f"d{n}", "online") for n in range(3)),
            DeviceStatus("old", "revoked"),
        ),
        due=(("device", "d1", "2026-01-01"), ("server", "server", "2026-01-01")),
        quarantined=("d2",),
        released=4,
        releases=(release(4, 1.5),),
    )
    found = samples(collected(now))
    expected = {
        ("mien_updates_total", "accepted"): 10,
        ("mien_updates_total", "refused"): 1,
        ("mien_updates_total", "failed"): 1,
        ("mien_updates_total", "late"): 3,
        ("mien_update_bytes_total", ""): 5070,
        ("mien_round_tries_total", ""): 3,
        ("mien_round_seconds_total", "asking"): 8,
        ("mien_round_seconds_total", "averaging"): 0.5,
        ("mien_last_round_updates", "refused"): 0,
        ("mien_rounds_done", ""): 2,
        ("mien_rounds_wanted", ""): 10,
        ("mien_devices", "online"): 3,
        ("mien_devices", "offline"): 0,
        ("mien_devices", "revoked"): 1,
        ("mien_devices_quarantined", ""): 1,
        ("mien_certificates_due", "device"): 1,
        ("mien_certificates_due", "ca"): 0,
        ("mien_release_sequence", ""): 4,
        ("mien_release_created_timestamp_seconds", ""): 1767323045,
        ("mien_release_privacy_epsilon", ""): 1.5,
        ("mien_superlink_up", ""): 1,
        ("mien_folder_readable", ""): 1,
    }
    assert {key: found.get(key) for key in expected} == expected


def test_accuracy_is_that_of_the_newest_tested_release() -> None:
    spread = {"worst_user": 0.25, "median_user": 0.5, "best_user": 1.0}
    tested = release(7, accuracy=0.75, macro_recall=0.5, **spread)
    found = samples(collected(status(releases=(tested, release(8, uar=0.1)))))
    assert found["mien_release_accuracy", "accuracy"] == 0.75
    assert found["mien_release_accuracy", "worst_user"] == 0.25
    assert found["mien_release_tested_round", ""] == 7
    assert ("mien_release_accuracy", "uar") not in found


def test_devices_are_named_only_where_it_is_asked_for() -> None:
    now = status(rounds=(report(0, refused=["kitchen: not finite (w)"]),), quarantined=("attic",))
    plain, named = collected(now), collected(now, name_devices=True)
    assert "kitchen" not in plain
    assert "attic" not in plain
    assert samples(named)["mien_device_online", "kitchen"] == 1
    assert samples(named)["mien_device_online", "attic"] == 0


def test_a_damaged_folder_is_a_figure_not_a_crash() -> None:
    def broken() -> FleetStatus:
        raise WorkError("damaged")

    registry = CollectorRegistry()
    registry.register(FleetCollector(broken))
    assert samples(generate_latest(registry).decode()) == {("mien_folder_readable", ""): 0}


def test_figures_are_served_on_loopback_and_no_longer_than_asked(tmp_path: Path) -> None:
    Authority.create(tmp_path / "fleet", address="localhost:8443")
    port = free_port()
    with serving_metrics(tmp_path / "fleet", port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            assert samples(answer.read().decode())["mien_superlink_up", ""] == 0
        told = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False)
        for address in told.stdout.split():
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
                probe.settimeout(2)
                assert address.startswith("127.") or probe.connect_ex((address, port)) != 0
        with pytest.raises(UsageError, match=rf"metrics port {port} can't be used"):
            serving_metrics(tmp_path / "fleet", port).__enter__()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="metrics port is 70000"):
        serving_metrics(tmp_path, 70000).__enter__()
