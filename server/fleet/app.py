"""The fleet's Flower app on the server's side: rounds of one federation, from its folder."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from server.fleet.federate import serve

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Do what the operator's folder asks for: rounds, or the newest release brought to devices."""
    serve(grid, Path(str(context.run_config["fleet-folder"])))
