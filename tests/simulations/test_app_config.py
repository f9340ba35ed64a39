"""`[tool.flwr.app.config]` and `SimulationSettings`: the same settings and defaults."""

from __future__ import annotations

import tomllib
from pathlib import Path

from simulations.settings import SimulationSettings, parse_settings

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_flowers_configuration_is_the_settings() -> None:
    flower = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["flwr"]["app"]
    assert flower["config"] == SimulationSettings().model_dump(by_alias=True)
    assert parse_settings(flower["config"]) == SimulationSettings()


def test_only_code_of_the_four_rooms_is_shipped() -> None:
    flower = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["flwr"]["app"]
    rooms = ("client", "common", "server", "simulations")
    assert flower["fab-include"] == [f"{room}/**/*.py" for room in rooms]
