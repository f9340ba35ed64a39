"""`mien demo`: synthetic actors through the same simulation, and where the report lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cli.simulate
from simulations.settings import SimulationSettings
from tests.cli.command import Command
from tests.cli.test_tables import results


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[SimulationSettings]:
    """Settings that simulations were asked to run with; none is run."""
    seen: list[SimulationSettings] = []

    def run(settings: SimulationSettings, **_: object) -> dict[str, Any]:
        seen.append(settings)
        return results(synthetic=True)

    monkeypatch.setattr(cli.simulate, "run", run)
    return seen


def test_a_demo_names_no_data_and_says_synthetic(
    mien: Command, runs: list[SimulationSettings], tmp_path: Path
) -> None:
    out = tmp_path / "[red] demo"
    done = mien("demo", "--out", str(out), "--actors", "3", "--seed", "5")
    assert done.code == 0, done.err
    assert runs == [SimulationSettings(out=str(out), actors=3, seed=5)]
    assert "SYNTHETIC" in done.out
    assert str(out / "report.html") in done.out


def test_a_demo_can_identify_its_actors(
    mien: Command, runs: list[SimulationSettings], tmp_path: Path
) -> None:
    done = mien("demo", "--out", str(tmp_path), "--identify")
    assert done.code == 0, done.err
    assert runs == [SimulationSettings(out=str(tmp_path), identify=True)]


def test_too_few_actors(mien: Command, runs: list[SimulationSettings]) -> None:
    done = mien("demo", "--actors", "1")
    assert (done.code, runs) == (2, [])
    assert "actors" in done.err
