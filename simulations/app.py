"""The simulation as a Flower app: what `flwr run .` runs.

Prepares data and devices, lets `server.app` federate them, and writes results and report.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.errors import WorkError
from common.files import write_atomically
from common.paths import simulation_folder
from server.app import main as federate
from simulations.devices import with_device_error
from simulations.output import write_output
from simulations.settings import parse_settings
from simulations.simulate import command_line, finish, locked, prepare
from simulations.sources import load_source

app = ServerApp()

PROGRESS_FILE = "progress.json"
PROGRESS_SECONDS = 0.25


class ProgressFile:
    """A watcher that keeps the newest progress in a file, for whoever started the run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Write `done` of `total`, at most every quarter of a second but for a phase's end."""
        now = time.monotonic()
        if done < total and now - self._written < PROGRESS_SECONDS:
            return
        self._written = now
        content = json.dumps({"phase": phase, "done": done, "total": total}).encode()
        write_atomically(self._path, content)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """One whole simulation, its nodes standing for its devices."""
    started = time.monotonic()
    settings = parse_settings(context.run_config)
    root = simulation_folder(settings.state_root)
    with locked(root):
        watch = ProgressFile(root / PROGRESS_FILE)
        source = load_source(settings, workers=os.cpu_count() or 1, watch=watch)
        prepared = prepare(settings, source, root, watch)
        try:
            federate(grid, context)
        except WorkError as error:
            raise with_device_error(root, error) from error
        results = finish(prepared, command_line(settings), started, watch, engine="ray")
        folder = Path(settings.out) if settings.out else root / "results"
        report = write_output(folder, results)
    print(f"results and report: {report.parent}")
