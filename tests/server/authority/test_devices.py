"""The registry of devices survives kills, and two operators at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from common.enrolment.keys import certificate_request, device_key
from common.errors import UsageError
from server.authority import Authority
from tests.server.authority.tls import fleet

ROOT = Path(__file__).resolve().parents[3]
ENROL = """
import sys
from pathlib import Path
from tests.server.authority.test_devices import enrol

enrol(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
"""


def enrol(folder: Path, prefix: str, count: int) -> None:
    """Enrol devices, and revoke every third; tells of each once it is done."""
    made = Authority(folder)
    for number in range(count):
        name = f"{prefix}-{number}"
        made.add_device(name, certificate_request(device_key(), name).encode())
        print("added", name, flush=True)
        if number % 3 == 0:
            made.revoke(name, "test")
            print("revoked", name, flush=True)


def started(folder: Path, prefix: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ENROL, str(folder), prefix, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("lines", [1, 4, 6])
def test_what_was_told_survives_a_kill(tmp_path: Path, lines: int) -> None:
    folder = fleet(tmp_path / "fleet").folder
    process = started(folder, "dev", 10_000)
    assert process.stdout is not None
    told = [process.stdout.readline().split() for _ in range(lines)]
    time.sleep(0.01 * lines)
    process.send_signal(signal.SIGKILL)
    told += [line.split() for line in process.stdout.read().splitlines()]
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    made = Authority(folder)
    devices = {device.name: device for device in made.devices.all()}
    for did, name in told:
        assert did == "added" or not devices[name].active
    for device in devices.values():  # each has a certificate, and revoked ones are listed
        (certificate,) = made.devices.certificates(device)
        listed = [serial for serial, _ in made.devices.revoked_serials()]
        assert (certificate.serial_number in listed) == (not device.active)
    made.add_device("after", certificate_request(device_key(), "after").encode())


def test_two_operators_at_once(tmp_path: Path) -> None:
    made = fleet(tmp_path / "fleet")
    running = [started(made.folder, prefix, 6) for prefix in ("one", "two")]
    for process in running:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert len(made.devices.all()) == 12
    assert sum(not device.active for device in made.devices.all()) == 4
    listed = x509.load_pem_x509_crl((made.folder / "ca/revoked.crl").read_bytes())
    serials = {serial for serial, _ in made.devices.revoked_serials()}
    assert {entry.serial_number for entry in listed} == serials
    assert len(serials) == 4


def test_devices_are_told_with_their_times(tmp_path: Path) -> None:
    made, now = fleet(tmp_path / "fleet"), datetime(2026, 3, 1, tzinfo=UTC)
    made.add_device("dev-a", certificate_request(device_key(), "dev-a").encode(), now=now)
    device = made.devices.active("dev-a")
    assert (device.added, device.ends) == (now, datetime(2027, 3, 1, tzinfo=UTC))
    later = datetime(2027, 1, 15, tzinfo=UTC)
    made.renew("dev-a", now=later)
    assert made.devices.active("dev-a").ends == datetime(2028, 1, 15, tzinfo=UTC)
    assert len(made.devices.certificates(device)) == 2
    revoked = made.revoke("dev-a", "lost", now=later)
    assert (revoked.revoked, revoked.removed) == (later, None)
    with pytest.raises(UsageError):
        made.devices.revoke("dev-a", "again", now=later)
