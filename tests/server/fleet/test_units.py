"""The server's unit: systemd finds nothing wrong with it, and root does not run it."""

from __future__ import annotations

import dataclasses
import getpass
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.server import app
from common.errors import UsageError
from server.authority.authority import Authority
from server.fleet.units import ServerUnit, systemd_unit

UNIT = ServerUnit(
    command=("/bin/sh", "-c", "true"),
    folder=Path("/var/lib/fleet"),
    user="daemon",
    address="fleet.example:8443",
)
LOW = dataclasses.replace(UNIT, address="fleet.example:443")
ODD = dataclasses.replace(UNIT, folder=Path('/var/lib/a "b" 100% $HOME'))


@pytest.mark.parametrize("unit", [UNIT, LOW, ODD])
def test_systemd_finds_nothing_wrong(unit: ServerUnit, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "mien-server.service"
    path.write_text(systemd_unit(unit))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stderr.splitlines() if path.name in line] == []


def test_one_capability_for_a_low_port_and_none_else() -> None:
    assert "AmbientCapabilities=\n" in systemd_unit(UNIT)
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in systemd_unit(LOW)


def test_root_is_no_user_of_its_own() -> None:
    with pytest.raises(UsageError, match="as a user of its own"):
        systemd_unit(dataclasses.replace(UNIT, user="root"))


def test_the_command_prints_it(tmp_path: Path) -> None:
    Authority.create(tmp_path / "fleet", address="localhost:8443")
    words = ("install", "--folder", str(tmp_path / "fleet"), "--print", "--user", "fleet")
    shown = CliRunner().invoke(app, words, catch_exceptions=False).output
    assert f"ReadWritePaths={(tmp_path / 'fleet').resolve()}\n" in shown
    assert "User=fleet\n" in shown
    if getpass.getuser() == "root":
        with pytest.raises(UsageError, match="belongs to root"):
            CliRunner().invoke(app, words[:4], catch_exceptions=False)
    with pytest.raises(UsageError, match="give --print"):
        CliRunner().invoke(app, words[:3], catch_exceptions=False)
