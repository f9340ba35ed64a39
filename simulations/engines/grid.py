"""Engine `grid`: the apps in this process (or a few worker processes), over `FlowerGrid`."""

from __future__ import annotations

from flwr.app import Context, RecordDict

from common.errors import WorkError
from server.app import main
from server.run import load_plan
from server.sampling import requests_of
from simulations.devices import with_device_error
from simulations.engines.flower_grid import RUN_ID, SERVER_NODE, FlowerGrid
from simulations.simulate import Prepared
from simulations.watching import Watcher


def run_grid(prepared: Prepared, *, workers: int, watch: Watcher) -> None:
    """Run the server's app against the prepared devices; what it leaves is on disk."""
    devices = len(prepared.users)
    run_config: dict[str, bool | float | int | str] = {
        "state-root": str(prepared.root.resolve()),
        "timeout": prepared.settings.timeout,
        "poll": 0.002,
        "record": prepared.settings.record,
    }
    plans = load_plan(prepared.root / "plan.json").federations
    messages = sum(requests_of(plan, devices) for plan in plans)
    answered = 0

    def count(more: int) -> None:
        nonlocal answered
        answered += more
        watch("federation", answered, messages)

    context = Context(RUN_ID, SERVER_NODE, {}, RecordDict(), run_config)
    with FlowerGrid(
        devices=devices, run_config=run_config, workers=workers, progress=count
    ) as grid:
        try:
            main(grid, context)
        except WorkError as error:
            raise with_device_error(prepared.root, error) from error
