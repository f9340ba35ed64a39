"""`mien server set` and `init --check-features`: test clips that releases are measured on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.server import app
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.heads.universal import initial_head
from server.authority.authority import Authority
from server.fleet.check import about_table
from server.fleet.folder import FederationSettings, FleetFolder
from server.fleet.rounds import RoundRules
from server.run import save_head
from tests.server.fleet.devices import PLAN, SPECIFICATION


def ran(*words: str) -> str:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two users with each expression twice, in numbers that nobody's backbone made."""
    draw = np.random.default_rng(3)
    names = [f"f{number}" for number in range(6)]
    lines = [",".join(("clip", "user", "expression", *names))]
    for number in range(32):
        cells = (f"c{number}", f"u{number % 2}", EXPRESSIONS[number // 2 % 8])
        lines.append(",".join((*cells, *(f"{value:.4f}" for value in draw.normal(size=6)))))
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_releases_of_a_fleet_are_tested_on_the_named_clips(tmp_path: Path, table: Path) -> None:
    folder = str(tmp_path / "fleet")
    ran("init", folder, "--address", "localhost:8443", "--check-features", str(table))
    there = FleetFolder(Path(folder))
    about = about_table(there.federation)
    assert about is not None
    assert (about.clips, about.users, about.synthetic) == (32, 2, False)
    again = ran("set", "--check-features", str(table), "--synthetic", "--folder", folder)
    assert again == "Releases are tested on 32 synthetic clips of 2 users (clips.csv).\n"

    head = initial_head(replace(SPECIFICATION, features=about.features), seed=0)
    save_head(tmp_path / "head.safetensors", head)
    published = ran(
        *("publish", str(tmp_path / "head.safetensors"), "--round", "1"),
        *("--metric", "mine=2", "--folder", folder, "--json"),
    )
    metrics = json.loads(published)["metrics"]
    assert metrics["accuracy"] == 0.125  # a head of zeros says the first of 8 expressions
    assert (metrics["test_clips"], metrics["mine"]) == (32, 2)
    assert "tested on 32 synthetic clips of 2 users" in ran("status", "--folder", folder)
    assert ran("set", "--no-check-features", "--folder", folder) == "Releases are tested no more.\n"


def test_clips_of_other_features_than_the_fleets_are_refused(tmp_path: Path, table: Path) -> None:
    root = tmp_path / "fleet"
    Authority.create(root, address="localhost:8443")
    rules = RoundRules(quorum=1)
    FleetFolder(root).begin(
        FederationSettings(specification=SPECIFICATION, plan=PLAN, rules=rules, deadline=5.0)
    )
    with pytest.raises(UsageError, match=r"clips\.csv holds 6 numbers of table/"):
        ran("set", "--check-features", str(table), "--folder", str(root))
    assert about_table(FleetFolder(root).federation) is None


def test_rounds_do_not_begin_for_a_head_that_cannot_be_tested(tmp_path: Path, table: Path) -> None:
    folder = str(tmp_path / "fleet")
    ran("init", folder, "--address", "localhost:8443", "--check-features", str(table))
    with pytest.raises(UsageError, match="the fleet's head reads"):
        ran("rounds", "start", "--folder", folder)
    assert not FleetFolder(Path(folder)).begun


def test_it_is_said_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give either --check-features"):
        ran("set", "--folder", str(tmp_path))
