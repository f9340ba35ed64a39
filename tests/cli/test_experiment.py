"""`mien experiment`: help that teaches, JSON, one sentence for wrong use, mini runs as in CI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.experiment import app, cells_told
from common.errors import UsageError
from simulations.experiments.about import ABOUT
from tests.simulations.experiments.fakes import write_ravdess_table

RUN = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"})


def test_the_help_names_every_experiment() -> None:
    done = RUN.invoke(app, ["--help"])
    assert done.exit_code == 0
    for name in (*ABOUT, "report"):
        assert name in done.output


@pytest.mark.parametrize("name", ABOUT)
def test_the_help_of_each_names_its_options(name: str) -> None:
    done = RUN.invoke(app, [name, "--help"])
    assert done.exit_code == 0
    for option in ("--data", "--features", "--out", "--mini", "--seeds", "--again", "--json"):
        assert option in done.output
    assert f"mien experiment {name}" in done.output


def test_without_a_folder_nothing_runs() -> None:
    done = RUN.invoke(app, ["folds", "--mini"])
    assert done.exit_code == 2
    assert "--out" in done.output


def test_wrong_use_ends_in_a_sentence(tmp_path: Path) -> None:
    done = RUN.invoke(app, ["folds", "--out", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert "no data is named" in str(done.exception)


def test_results_as_json_and_as_a_page(tmp_path: Path) -> None:
    table = write_ravdess_table(tmp_path / "made-up.csv")
    out = tmp_path / "out"
    words = ["figures3-4", "--features", str(table), "--mini", "--out", str(out)]
    done = RUN.invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["name"] == "figures3-4"
    again = RUN.invoke(app, words)
    assert "1 of 1 were there already" in " ".join(again.output.split())
    assert "Share of each expression's clips" in again.output
    assert "surprised" in again.output
    assert "…" not in again.output
    report = RUN.invoke(app, ["report", str(out), "--json"])
    assert json.loads(report.stdout)["experiments"] == ["figures3-4"]
    assert (out / "report.html").is_file()


def test_cells_that_were_there_are_said() -> None:
    cells = [{"reused": True, "date": "2026-01-02"}, {"reused": False, "date": "2026-01-03"}]
    told = cells_told({"cells": cells, "seconds_now": 3.0})
    assert told.startswith("1 cells measured, 3.0 s. 1 of 2 were there already")
    assert "2026-01-02" in told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table3", "figure5"])
def test_mini_runs_on_synthetic_actors(tmp_path: Path, name: str) -> None:
    done = RUN.invoke(app, [name, "--mini", "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert results["synthetic"]
    assert results["data"][0]["users"] == 7
    figures = results["figures"]
    rows = figures["rows"] if name == "table3" else figures["panels"]
    assert len(rows) == 6
    report = RUN.invoke(app, ["report", str(tmp_path)])
    assert report.exit_code == 0
    assert "SYNTHETIC" in (tmp_path / "report.html").read_text(encoding="utf-8")
