"""`mien simulate`: options are the settings, output is a table or JSON, errors are sentences."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from cli.simulate import command
from simulations.settings import SimulationSettings
from tests.cli.command import Command, mien_process
from tests.simulations.tables import USERS, write_table

SMALL = ("--rounds", "2", "--l2", "0.01", "--user-folds", "2", "--draws", "1", "--workers", "1")
SETTINGS = sorted(SimulationSettings.model_fields)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_table(tmp_path_factory.mktemp("tables") / "table.csv", each=2))


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_an_option_with_the_same_default(name: str) -> None:
    parameter = inspect.signature(command).parameters[name]
    assert parameter.default == SimulationSettings.model_fields[name].default
    assert parameter.default == getattr(SimulationSettings(), name)


def test_the_help_names_every_option(mien: Command) -> None:
    done = mien("simulate", "--help")
    assert done.code == 0
    for name in (*SETTINGS, "workers", "json", "engine"):
        assert f"--{name.replace('_', '-')}" in done.out
    for text in ("by-take", "self-attention-literal", "--features"):
        assert text in done.out


@pytest.mark.slow
def test_json_stands_alone_on_standard_output(table: str, tmp_path: Path) -> None:
    done = mien_process("simulate", "--features", table, *SMALL, "--json")
    assert done.code == 0, done.err
    results = json.loads(done.out)
    assert results["clients"] == len(USERS)
    assert results["rounds"] == 2
    assert "federation" not in done.err


def test_a_table_for_people(mien: Command, table: str, tmp_path: Path) -> None:
    out = tmp_path / "two words"
    done = mien("simulate", "--features", table, *SMALL, "--out", str(out))
    assert done.code == 0, done.err
    assert done.err == ""
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    for text in ("universal", "own clips alone", "personal", "table.csv", results["command"]):
        assert text in done.out
    assert f"{100 * results['accuracy']['universal']:.1f}" in done.out
    assert "SYNTHETIC" not in done.out
    assert str(out / "results.json") in done.out
    assert (out / "report.html").is_file()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rounds", "0"),
        ("rounds", "100001"),
        ("memory", "51"),
        ("memory", "-1"),
        ("l2", "-0.1"),
        ("l2", "nan"),
        ("learning-rate", "nan"),
        ("learning-rate", "inf"),
        ("protocol", "by-luck"),
        ("head", "quantum"),
        ("pooling", "min"),
        ("user-folds", "1"),
        ("draws", "0"),
        ("seed", "-1"),
        ("timeout", "0"),
        ("engine", "steam"),
        ("workers", "-1"),
    ],
)
def test_a_value_out_of_range_is_named(mien: Command, table: str, option: str, value: str) -> None:
    done = mien("simulate", "--features", table, f"--{option}", value)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("mien: ")
    assert done.err.count("\n") == 1
    assert option in done.err


@pytest.mark.parametrize(("option", "value"), [("rounds", "many"), ("l2", "x"), ("seed", "1.5")])
def test_a_value_of_another_kind_is_named(mien: Command, option: str, value: str) -> None:
    done = mien("simulate", f"--{option}", value)
    assert done.code == 2
    assert f"--{option}" in done.err
    assert "Traceback" not in done.err


BAD_TABLES = {
    "empty": "",
    "no clip column": "x,y\n1,2\n",
    "no rows": "clip,user,expression,f\n",
    "one user": "clip,user,expression,f\na,Ada,happy,1\nb,Ada,sad,2\n",
    "one expression": "clip,user,expression,f\na,Ada,happy,1\nb,Ben,happy,2\n",
    "unknown expression": "clip,user,expression,f\na,Ada,bored,1\nb,Ben,sad,2\n",
    "not a number": "clip,user,expression,f\na,Ada,happy,one\nb,Ben,sad,2\n",
    "one clip each": "clip,user,expression,f\na,Ada,happy,1\nb,Ben,sad,2\n",
    "no RAVDESS name": "clip,f\na,1\nb,2\n",
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_wrong_use(mien: Command, tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(BAD_TABLES[name], encoding="utf-8")
    done = mien("simulate", "--features", str(path))
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("mien: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("where", ["missing.csv", "."])
def test_a_table_that_can_t_be_read(mien: Command, tmp_path: Path, where: str) -> None:
    done = mien("simulate", "--features", str(tmp_path / where))
    assert done.code == 2
    assert str(tmp_path) in done.err


def test_an_output_folder_that_can_t_be_made(mien: Command, table: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = mien("simulate", "--features", table, *SMALL, "--out", str(tmp_path / "file" / "out"))
    assert done.code == 2
    assert "can't be written to" in done.err


def test_published_folds_need_ravdess_names(mien: Command, table: str) -> None:
    done = mien("simulate", "--features", table, "--protocol", "folds")
    assert done.code == 2
    assert "RAVDESS" in done.err
