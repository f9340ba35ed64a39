"""The engine in this process: the server's own app over the prepared devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import WorkError
from common.paths import simulated_device
from simulations.engines.grid import run_grid
from simulations.settings import SimulationSettings
from simulations.simulate import Prepared, prepare
from simulations.sources import load_table_source
from simulations.watching import unwatched
from tests.simulations.tables import USERS, write_table


def prepared(root: Path) -> Prepared:
    settings = SimulationSettings(rounds=2, l2=0.01, user_folds=2, draws=1)
    source = load_table_source(write_table(root / "table.csv", each=2))
    return prepare(settings, source, root, unwatched)


def test_progress_counts_every_answer(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    run_grid(prepared(tmp_path), workers=1, watch=lambda *what: told.append(what))
    total = 2 * (1 + 2 + 1) * len(USERS)
    assert told == [("federation", done, total) for done in range(1, total + 1)]
    assert {path.name for path in (tmp_path / "server").iterdir()} == {
        "fold-1.safetensors",
        "fold-2.safetensors",
        "rounds.json",
        "privacy.json",
    }


def test_a_device_that_fails_ends_the_run_with_its_own_reason(tmp_path: Path) -> None:
    """A simulation without it would give other numbers, and not say so."""
    ready = prepared(tmp_path)
    (simulated_device(tmp_path, 0) / "clips.safetensors").unlink()
    reason = r"round 0 of fold-1 failed.*device 00000 says.*clips\.safetensors is missing"
    with pytest.raises(WorkError, match=reason):
        run_grid(ready, workers=1, watch=unwatched)


def test_devices_that_all_fail_end_the_run_with_a_reason(tmp_path: Path) -> None:
    ready = prepared(tmp_path)
    for index in range(len(USERS)):
        (simulated_device(tmp_path, index) / "device.json").write_text("{")
    with pytest.raises(WorkError, match="round 0 of fold-1 failed: a device failed"):
        run_grid(ready, workers=1, watch=unwatched)


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    ready = prepared(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps({"devices": 3}))
    with pytest.raises(WorkError, match=r"plan\.json is not a server's plan"):
        run_grid(ready, workers=1, watch=unwatched)
