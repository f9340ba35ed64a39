"""Service files: what is in them, and that systemd itself finds nothing wrong."""

from __future__ import annotations

import dataclasses
import getpass
import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest

from client.daemon.units import Service, launchd_plist, systemd_unit

SERVICE = Service(
    command=("/bin/sh", "-c", "true", "--device", "/var/lib/mien"),
    folder=Path("/var/lib/mien"),
    user=getpass.getuser(),
    fleet=False,
    passphrase=False,
)
FLEET = dataclasses.replace(SERVICE, fleet=True)
LOCKED = dataclasses.replace(SERVICE, passphrase=True)
ODD = dataclasses.replace(SERVICE, folder=Path('/var/lib/a "b" 100% $HOME'))


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("service", [SERVICE, FLEET, LOCKED, ODD])
def test_systemd_finds_nothing_wrong(service: Service, own: bool, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "mien.service"
    path.write_text(systemd_unit(service, own=own))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "mien.service" in line]
    assert complaints == []


def lines_of(service: Service, *, own: bool = False) -> list[str]:
    return systemd_unit(service, own=own).splitlines()


def test_without_a_fleet_there_is_no_network() -> None:
    assert {"PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX"} <= set(lines_of(SERVICE))
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6" in lines_of(FLEET)
    assert "PrivateNetwork=yes" not in lines_of(FLEET)


def test_only_the_devices_folder_can_be_written_to() -> None:
    for own in (False, True):
        lines = lines_of(SERVICE, own=own)
        assert {"NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077"} <= set(lines)
        assert [line for line in lines if "Writ" in line] == ["ReadWritePaths=/var/lib/mien"]
    assert 'ReadWritePaths="/var/lib/a \\"b\\" 100%% $$HOME"' in lines_of(ODD)


def test_a_passphrase_comes_as_a_credential_and_in_no_argument() -> None:
    lines = lines_of(LOCKED)
    assert "LoadCredential=passphrase:/etc/mien/mien.passphrase" in lines
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    assert start.endswith("--device /var/lib/mien --passphrase-file %d/passphrase")


def test_the_plist_is_one_and_writes_no_log() -> None:
    told = plistlib.loads(launchd_plist(ODD).encode())
    assert told["ProgramArguments"] == list(SERVICE.command)
    assert told["Umask"] == 0o077
    assert not told["AbandonProcessGroup"]
    assert not [name for name in told if name.startswith("Standard")]
