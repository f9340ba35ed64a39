"""The measurement of engines, as small as can be; no figure of time is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import WorkError
from simulations.bench import federation
from simulations.bench.federation import Measured, measure
from simulations.bench.federation_work import (
    CLIPS,
    ENGINES,
    Work,
    fill,
    make_app,
    peak_rss_gib,
    seconds_per_round,
)

WORK = Work(clients=3, dimension=4, rounds=2, workers=1)


@pytest.mark.parametrize("engine", ["grid", "cohort"])
def test_an_engine_tells_the_end_of_every_round(engine: str, tmp_path: Path) -> None:
    times = ENGINES[engine](WORK, tmp_path)
    assert len(times) == 1 + WORK.plan.rounds
    assert times == sorted(times)


def test_the_first_rounds_do_not_count() -> None:
    """Ends of round 0, a warm-up round, and rounds of 1, 2 and 6 seconds."""
    assert seconds_per_round([0.0, 100.0, 101.0, 103.0, 109.0]) == 2.0


def test_clients_features_are_their_own_and_the_same_again() -> None:
    one, again, other = (np.empty((CLIPS, 4), dtype=np.float32) for _ in range(3))
    for features, client in ((one, 1), (again, 1), (other, 2)):
        fill(features, client)
    assert one.tobytes() == again.tobytes() != other.tobytes()


def test_this_process_holds_memory() -> None:
    assert 0.01 < peak_rss_gib() < 100


def test_the_app_is_the_rooms_code_with_its_own_server(tmp_path: Path) -> None:
    app = make_app(tmp_path / "app")
    assert "simulations.engines.timed_app:app" in (app / "pyproject.toml").read_text()
    assert (app / "client" / "app.py").is_file()
    assert not list(app.rglob("test_*.py"))


def test_figures_are_brought_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray takes 1 s a client, the grid 0.1 s, the cohort 0.01 s and 0.1 s more."""
    rates = {"ray": 1.0, "grid": 0.1, "cohort": 0.01}

    def in_own_process(engine: str, work: Work) -> Measured:
        seconds = rates[engine] * work.clients + (0.1 if engine == "cohort" else 0.0)
        return Measured(seconds, work.rounds, 0.5)

    monkeypatch.setattr(federation, "_in_own_process", in_own_process)
    told: list[tuple[str, int, int]] = []
    found = measure(watch=lambda *what: told.append(what), workers=2)
    assert {e: list(sizes) for e, sizes in found["seconds_per_round"].items()} == {
        "ray": ["24", "1000"],
        "grid": ["24", "1000"],
        "cohort": ["24", "1000", "10000", "100000"],
    }
    assert found["cohort_times_faster"]["ray"] == pytest.approx(1000 / 10.1)
    assert found["growth"]["24 to 1000"] == pytest.approx((10.1 / 0.34) / (1000 / 24))
    assert all(growth <= 1 for growth in found["growth"].values())
    assert set(found["peak_rss_gib"]) == {"24", "1000", "10000", "100000"}
    assert told[0][1:] == (0, 8)
    assert told[-1][1:] == (8, 8)
    json.dumps(found)


@pytest.mark.slow
def test_a_run_in_a_process_of_its_own() -> None:
    found = measure(ray=(), grid=(), cohort=(3,), dimension=4, rounds=1, workers=1)
    assert found["seconds_per_round"]["cohort"]["3"] > 0
    assert found["rounds_counted"]["cohort"]["3"] == 1
    assert (found["synthetic"], found["cohort_times_faster"], found["growth"]) == (True, {}, {})


def test_a_run_that_fails_is_named() -> None:
    with pytest.raises(WorkError, match=r"engine cohort with 3 clients failed: .*dimension 0"):
        measure(ray=(), grid=(), cohort=(3,), dimension=0, rounds=1)


@pytest.mark.slow
def test_ray_is_measured_too() -> None:
    found = measure(ray=(3,), grid=(3,), cohort=(3,), dimension=4, rounds=1, workers=2)
    assert {len(sizes) for sizes in found["seconds_per_round"].values()} == {1}
