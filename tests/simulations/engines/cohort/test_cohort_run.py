"""A whole simulation by the cohort engine: the grid's figures, and nothing said of transmission."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from cli.simulate import run
from cli.tables import notes
from client.store import DeviceFolder
from common.errors import UsageError, WorkError
from common.paths import simulated_device
from simulations.engines.cohort.run import run_cohort
from simulations.report.page import render
from simulations.settings import SimulationSettings
from simulations.simulate import prepare
from simulations.sources import load_table_source
from simulations.watching import unwatched
from tests.simulations.pictures import empty_pictures
from tests.simulations.tables import USERS, write_table

Results = dict[str, Any]
DIFFERENT = {"seconds", "command", "commit", "engine", "transmitted", "in_memory"}


def settings_of(folder: Path, **changes: Any) -> SimulationSettings:
    table = folder / "table.csv"
    if not table.exists():
        write_table(table)
    small = {"features": str(table), "rounds": 3, "l2": 0.01, "user_folds": 2, "draws": 1}
    return SimulationSettings(**{**small, **changes})


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    """One BLAS thread, as `cli.main` has it; no pictures; few steps of what all engines share."""
    with threadpool_limits(1), empty_pictures(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("client.personalisation.fine_tune.ATTENTION_EPOCHS", 6)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cohort")


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    settings = settings_of(folder, state_root=str(folder / "state"), out=str(folder / "out"))
    return run(settings, engine="cohort", workers=1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head": "single-attention", "rounds": 1, "local_epochs": 2},
        {"clients_per_round": 0.5, "dropout": 0.2, "strategy": "fedadam", "rounds": 4},
    ],
    ids=["defaults", "attention", "losses"],
)
def test_figures_are_the_grids(folder: Path, changes: dict[str, Any]) -> None:
    found, grid = (
        run(settings_of(folder, **changes), engine=engine, workers=1)
        for engine in ("cohort", "grid")
    )
    assert {k: v for k, v in found.items() if k not in DIFFERENT} == {
        k: v for k, v in grid.items() if k not in DIFFERENT
    }
    assert (grid["engine"], grid["in_memory"]) == ("grid", [])
    assert "What was transmitted" in render(grid)
    assert "--engine" not in grid["command"]
    kept = ("federation", "round", "stage", "clients", "lost")
    assert found["in_memory"] == [{key: r[key] for key in kept} for r in grid["transmitted"]]


@pytest.mark.slow
def test_two_workers_give_the_same(folder: Path, results: Results) -> None:
    again = run(settings_of(folder), engine="cohort", workers=2)
    assert again["predictions"] == results["predictions"]


def test_results_say_that_nothing_was_transmitted(folder: Path, results: Results) -> None:
    assert (results["engine"], results["transmitted"]) == ("cohort", [])
    assert len(results["in_memory"]) == 2 * (1 + 3)
    assert "--engine cohort" in results["command"]
    page = render(results)
    assert "Nothing was transmitted" in page
    assert "no message was sent" in page
    for claim in ("What was transmitted", "All devices together sent", "stays on the device"):
        assert claim not in page
    told = " ".join(notes(results, None))
    assert "Engine cohort: no message was sent" in told
    assert "Transmitted by all devices" not in told
    for index in range(len(USERS)):
        ledger = DeviceFolder(simulated_device(folder / "state", index)).ledger
        assert list(ledger.entries()) == []


def test_replies_that_do_not_exist_can_not_be_kept(folder: Path) -> None:
    with pytest.raises(UsageError, match="record keeps replies"):
        run(settings_of(folder, record=str(folder / "replies")), engine="cohort", workers=1)


def test_a_device_that_can_not_test_itself_ends_the_run(tmp_path: Path) -> None:
    settings = SimulationSettings(rounds=1, l2=0.01, user_folds=2, draws=1)
    source = load_table_source(write_table(tmp_path / "table.csv", each=2))
    prepared = prepare(settings, source, tmp_path, unwatched)
    (simulated_device(tmp_path, 0) / "clips.safetensors").unlink()
    with pytest.raises(WorkError, match=r"clips\.safetensors is missing"):
        run_cohort(prepared, workers=1, watch=unwatched)
