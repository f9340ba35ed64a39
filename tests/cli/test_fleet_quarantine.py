"""`mien server quarantine` and `dashboard`, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.server import app
from common.errors import UsageError
from common.files import private_folder
from server.authority.authority import Authority
from server.defence import Quarantine, Rule
from server.fleet.folder import FleetFolder
from server.fleet.judge import QUARANTINE


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    root = tmp_path / "fleet"
    Authority.create(root, address="localhost:8443")
    folder = private_folder(FleetFolder(root).federation)
    quarantine = Quarantine(folder / QUARANTINE, Rule(failures=1, rounds=1))
    quarantine.note("fleet", 1, {"kitchen": "not finite", "attic": None})
    return root


def ran(*words: str) -> str:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_device_in_quarantine_is_shown_and_let_in_again(fleet: Path) -> None:
    (case,) = json.loads(ran("quarantine", "list", "--folder", str(fleet), "--json"))
    assert (case["device"], case["reasons"]) == ("kitchen", ["not finite"])
    assert "kitchen" in ran("quarantine", "list", "--folder", str(fleet))
    told = ran("quarantine", "release", "kitchen", "--by", "me", "--folder", str(fleet))
    assert told == "Device kitchen may take part again from the next round on.\n"
    assert ran("quarantine", "list", "--folder", str(fleet)) == "No device is in quarantine.\n"
    (past,) = json.loads(ran("quarantine", "list", "--past", "--folder", str(fleet), "--json"))
    assert (past["device"], past["by"]) == ("kitchen", "me")


def test_who_is_not_in_quarantine_cannot_be_let_in(fleet: Path) -> None:
    with pytest.raises(UsageError, match="device 'attic' is not in quarantine"):
        ran("quarantine", "release", "attic", "--folder", str(fleet))


def test_a_fleet_without_rounds_has_nobody_in_quarantine(tmp_path: Path) -> None:
    Authority.create(tmp_path / "new", address="localhost:8443")
    told = ran("quarantine", "list", "--folder", str(tmp_path / "new"))
    assert told == "No device is in quarantine.\n"


def test_the_dashboard_is_drawn_where_it_is_asked_for(fleet: Path, tmp_path: Path) -> None:
    ran("dashboard", "--folder", str(fleet), "--out", str(tmp_path / "page.html"))
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    ran("dashboard", "--folder", str(fleet))
    assert (fleet / "dashboard.html").exists()
    with pytest.raises(UsageError, match="can't be written to"):
        ran("dashboard", "--folder", str(fleet), "--out", str(tmp_path / "none" / "page.html"))
