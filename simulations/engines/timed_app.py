"""A server's app that notes when each round was over: one federation, no data, no results."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from flwr.app import Context, RecordDict
from flwr.serverapp import Grid, ServerApp

from common.files import write_atomically
from common.paths import simulation_folder
from server.federation import run_federation
from server.flower_adapter import FlowerFleet
from server.run import load_plan
from simulations.engines.flower_grid import RUN_ID, SERVER_NODE, FlowerGrid

app = ServerApp()

TIMES_FILE = "times.json"


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the first federation of the plan in the state folder; keep the times of its rounds."""
    root = simulation_folder(str(context.run_config.get("state-root", "")))
    plan = load_plan(root / "plan.json")
    fleet = FlowerFleet(
        grid,
        devices=plan.devices,
        timeout=float(context.run_config.get("timeout", 600.0)),
        poll=float(context.run_config.get("poll", 0.02)),
    )
    times: list[float] = []
    run_federation(
        fleet,
        plan.specification,
        plan.federations[0],
        lambda record: times.append(time.monotonic()),
        strict=True,
    )
    write_atomically(root / TIMES_FILE, json.dumps(times).encode())


def run_in_process(devices: int, config: Mapping[str, str | float], workers: int) -> None:
    """Run the app over the in-process Grid."""
    run_config: dict[str, bool | float | int | str] = dict(config)
    with FlowerGrid(
        devices=devices, run_config=run_config, workers=workers, progress=lambda answered: None
    ) as grid:
        main(grid, Context(RUN_ID, SERVER_NODE, {}, RecordDict(), run_config))


def read_times(root: Path) -> list[float]:
    """When each round of the run in `root` was over, in seconds of a clock that never goes back."""
    times: list[float] = json.loads((root / TIMES_FILE).read_text(encoding="utf-8"))
    return times
