"""The fleet's Flower app: runs the plan that lies in its state folder."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.paths import simulation_folder
from server.flower_adapter import FlowerFleet
from server.run import load_plan, run_plan

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Wait for the devices, run every federation of the plan, keep heads and rounds on disk."""
    root = simulation_folder(str(context.run_config.get("state-root", "")))
    plan = load_plan(root / "plan.json")
    record = str(context.run_config.get("record", ""))
    fleet = FlowerFleet(
        grid,
        devices=plan.devices,
        timeout=float(context.run_config.get("timeout", 600.0)),
        poll=float(context.run_config.get("poll", 0.02)),
        record=Path(record) if record else None,
    )
    run_plan(fleet, plan, root / "server", Path(record) if record else None)
