"""The fleet's Flower app on the server's side: rounds of one federation, from its folder."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from server.fleet.federate import federate

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Go on with the federation that the operator's folder describes."""
    federate(grid, Path(str(context.run_config["fleet-folder"])))
