"""The code of a fleet's Flower app, file by file: the same on the server and on every device.

Flower sends a run's code to the devices. Built from installed files alone, and in one order, the
same version of Mien makes the same bundle everywhere: a device can tell whether what it is sent is
what it has.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOMS: Final = ("client", "common", "server")
CONFIG_FILE: Final = "pyproject.toml"
APP_NAME: Final = "mien-fleet"
PUBLISHER: Final = "mien"
APP_ID: Final = f"{PUBLISHER}/{APP_NAME}"
"""Flower's name of the app."""


def app_files() -> dict[str, bytes]:
    """Contents by path inside the bundle, the configuration included."""
    root = Path(__file__).resolve().parents[1]
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for room in ROOMS
        for path in sorted((root / room).rglob("*.py"))
    }
    return {CONFIG_FILE: _configuration().encode(), **files}


def _configuration() -> str:
    """No dependencies: Flower would install them for every run."""
    return f"""[project]
name = "{APP_NAME}"
version = "{version("mien")}"
description = "One federation of Mien's universal head"
license = "Apache-2.0"
requires-python = ">=3.11"
dependencies = []

[tool.flwr.app]
publisher = "{PUBLISHER}"
fab-include = [{", ".join(f'"{room}/**/*.py"' for room in ROOMS)}]

[tool.flwr.app.components]
serverapp = "server.fleet.app:app"
clientapp = "client.app:app"

[tool.flwr.app.config]
fleet-folder = ""
"""
