"""`mien privacy`: figures of the lab's table, words, public projections, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli import privacy
from common.errors import UsageError
from common.heads.projection import load_projection
from tests.cli.command import Done
from tests.simulations.tables import FEATURES, USERS, write_table


def mien(*arguments: str) -> Done:
    app = typer.Typer()
    app.add_typer(privacy.app, name="privacy")
    done = CliRunner().invoke(app, ["privacy", "plan", *arguments], env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.output, "")


def planned(devices: int, epsilon: float, *more: str) -> dict[str, Any]:
    done = mien(
        "--devices", str(devices), "--rounds", "20", "--epsilon", str(epsilon), "--json", *more
    )
    assert done.code == 0, done.out
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.parametrize(
    ("epsilon", "multiplier"), [(1, 16.68), (2, 8.92), (4, 4.84), (8, 2.68), (16, 1.54)]
)
def test_noise_is_the_tables(epsilon: float, multiplier: float) -> None:
    assert planned(24, epsilon)["multiplier"] == pytest.approx(multiplier, abs=0.006)


@pytest.mark.parametrize(
    ("devices", "epsilon", "recommended"),
    [(24, 8, "small projection"), (24, 0.05, "neither"), (1000, 8, "full head"), (2, 1, "neither")],
)
def test_recommends(devices: int, epsilon: float, recommended: str) -> None:
    assert planned(devices, epsilon)["recommendation"] == recommended


def test_costs_are_the_labs_and_say_so() -> None:
    found = planned(24, 8)
    full = found["full"]["cost"]
    assert (full["without"], full["with_privacy"], full["points"]) == (59.0, 24.0, 35.0)
    assert found["small"]["cost"]["points"] == 1.7
    assert full["source"].startswith("lab")
    assert found["full"]["parameters"] == 2 * 8 * 1281
    assert planned(10, 8)["full"]["cost"] is None


def test_words_name_noise_promise_and_advice() -> None:
    done = mien("--devices", "24", "--rounds", "20", "--epsilon", "8")
    assert "2.685 clipping norms" in done.out
    assert "25 % of the members at 1 % false alarms" in done.out
    assert "lab: 59 -> 24 %" in done.out
    assert "Use a public projection to at most 16 numbers" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--devices", "0", "--rounds", "1", "--epsilon", "1"), "devices is 0"),
        (("--devices", "9", "--rounds", "0", "--epsilon", "1"), "rounds is 0"),
        (("--devices", "9", "--rounds", "1", "--epsilon", "nan"), "epsilon is nan"),
        (("--devices", "9", "--rounds", "1", "--epsilon", "-1"), "epsilon is -1"),
        (("--devices", "9", "--rounds", "1", "--epsilon", "1", "--delta", "1"), "delta is 1"),
        (
            ("--devices", "100", "--rounds", "1", "--epsilon", "1", "--delta", "0.01"),
            "far below 1 / devices",
        ),
        (("--devices", "9", "--rounds", "1", "--epsilon", "1", "--dimension", "0"), "dimension 0"),
    ],
)
def test_refuses_what_makes_no_sense(arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        mien(*arguments)


def projection(*arguments: str) -> Done:
    app = typer.Typer()
    app.add_typer(privacy.app, name="privacy")
    done = CliRunner().invoke(app, ["privacy", "projection", *arguments], env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.output, "")


def test_a_projection_is_learnt_from_a_public_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = write_table(tmp_path / "public.csv"), tmp_path / "made"
    done = projection(str(table), "--out", str(out), "--dimensions", "2", "--json")
    told = json.loads(done.out or capsys.readouterr().out)
    made = load_projection(out)
    assert (told["from"], told["to"], told["sha256"]) == (FEATURES, 2, made.sha256)
    assert (told["clips"], told["users"], told["reads"]) == (96, list(USERS), made.features)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--kind", "svd"), "kind is 'svd'"),
        (("--dimensions", "33"), "expected 1 to"),
        (("--dimensions", "4"), "more than 4 expressions"),
        (("--dimensions", "2", "--out", "/nowhere/made"), "can't be written"),
    ],
)
def test_a_projection_that_can_not_be_is_refused(
    tmp_path: Path, more: tuple[str, ...], says: str
) -> None:
    table = write_table(tmp_path / "public.csv")
    with pytest.raises(UsageError, match=says):
        projection(str(table), "--out", str(tmp_path / "made"), *more)
