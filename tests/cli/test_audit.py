"""`mien audit` on a small recorded run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli import audit
from cli.simulate import run
from client.ledger import Ledger
from common.errors import UsageError
from common.paths import simulated_device
from simulations.settings import SimulationSettings
from tests.simulations.tables import USERS, write_table

app = typer.Typer()
app.command()(audit.command)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    settings = SimulationSettings(
        features=str(write_table(folder / "table.csv")),
        rounds=2,
        l2=0.01,
        user_folds=2,
        draws=1,
        record=str(folder / "run"),
        state_root=str(folder / "state"),
    )
    run(settings, engine="grid", workers=1)
    return folder / "run"


def test_a_run_of_today_fails_for_what_it_tells_in_clear(record: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(record), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    metadata = next(a for a in told["attacks"] if a["id"] == "A12")
    assert metadata["verdict"] == "fail"
    assert "num-examples" in metadata["meaning"]
    assert set(metadata["details"]["found"]) == {"number 'num-examples'"}
    assert told["run"] == "run"
    assert json.loads((tmp_path / "out" / "audit.json").read_text()) == told
    assert "<h1>" in (tmp_path / "out" / "audit.html").read_text()
    assert str(record.parent) not in done.stdout


def test_a_view_without_failures_ends_well(record: Path) -> None:
    done = CliRunner().invoke(app, [str(record), "--view", "final"])
    assert done.exit_code == 0
    assert "A3 final: not measurable" in done.stdout
    assert "verdict: not measurable" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--view", "everything"], "view is everything, expected individual"),
        (["--federation", "none"], "federation is 'none'"),
    ],
)
def test_what_is_wrong_is_told(record: Path, arguments: list[str], reason: str) -> None:
    done = CliRunner().invoke(app, [str(record), *arguments])
    assert isinstance(done.exception, UsageError)
    assert reason in str(done.exception)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(tmp_path / "none")])
    assert isinstance(done.exception, UsageError)


def ledger_of(record: Path, index: int) -> Path:
    return simulated_device(record.parent / "state", index) / "ledger.jsonl"


def test_a_ledger_is_held_against_the_record(record: Path) -> None:
    options = ["--federation", "fold-1", "--view", "final", "--json"]
    agreeing = []
    for index in range(6):
        done = CliRunner().invoke(
            app, [str(record), *options, "--ledger", str(ledger_of(record, index))]
        )
        if done.exit_code == 0 and done.exception is None:
            agreeing += [a for a in json.loads(done.stdout)["attacks"] if a["id"] == "ledger"]
    assert [entry["verdict"] for entry in agreeing] == ["pass"] * 3, "half of the users took part"


def test_an_owner_learns_what_the_own_ledger_tells(record: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(ledger_of(record, 0)), "--json", "--out", str(tmp_path)])
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["attacks"][0]["id"] == "exposure"
    assert told["attacks"][0]["figure"] == pytest.approx(14 / 16), "two rounds, 16 clips"
    assert told["verdict"] == "not measurable"
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]


def test_a_missing_ledger_is_told(record: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(record), "--ledger", str(tmp_path / "none")])
    assert isinstance(done.exception, UsageError)


def test_the_owner_is_told_of_round_0_too(record: Path) -> None:
    done = CliRunner().invoke(app, [str(ledger_of(record, 0)), "--json"])
    finding = json.loads(done.stdout)["attacks"][0]
    assert finding["details"]["references"] == 1
    assert "recognise whose device it is" in finding["meaning"]


def test_an_owner_learns_that_the_noise_was_too_weak(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for number in range(3):
        entry = {"stage": "head", "round": number, "own_clips": 40, "combinations": 7}
        sums = {"stay": 12, "members": 12, "session": str(number)}
        noise = {"multiplier": 1e-3, "seeded": False}
        ledger.append(
            {**entry, "basis": str(number), "arrays": [{}], "secure_sum": sums, "noise": noise}
        )
    done = CliRunner().invoke(app, [str(tmp_path / "ledger.jsonl"), "--json"])
    finding = json.loads(done.stdout)["attacks"][0]
    assert (done.exit_code, finding["verdict"]) == (1, "fail")
    assert finding["details"]["epsilon"] > 1e5
    assert "too little noise to hide" in finding["meaning"]


def test_the_stock_protocol_is_not_mixed_with_another_run(record: Path) -> None:
    done = CliRunner().invoke(app, [str(record), "--stock"])
    assert isinstance(done.exception, UsageError)
    assert "name a new folder" in str(done.exception)


@pytest.mark.slow
def test_the_stock_protocol_fails_by_name(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, [str(tmp_path / "run"), "--stock", "--view", "individual,sum", "--json"]
    )
    assert done.exit_code == 1
    found = {(a["id"], a["view"]): a for a in json.loads(done.stdout)["attacks"]}
    assert "'num_examples'" in found["A12", "sum"]["meaning"]
    assert "came unsigned" in found["A10", "sum"]["meaning"]
    assert found["A6", "individual"]["verdict"] == "not measurable"


def test_noise_that_the_server_added_is_what_the_sum_view_sees(tmp_path: Path) -> None:
    settings = SimulationSettings(
        features=str(write_table(tmp_path / "table.csv")),
        rounds=2,
        l2=0.01,
        user_folds=2,
        draws=1,
        clip_norm=0.5,
        noise_multiplier=4.0,
        public_users=USERS[0],
        record=str(tmp_path / "run"),
    )
    run(settings, engine="grid", workers=1)
    done = CliRunner().invoke(app, [str(tmp_path / "run"), "--view", "sum", "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    attacks = {each["id"]: each for each in json.loads(done.stdout)["attacks"]}
    assert attacks["A9"]["verdict"] != "fail"
    summed = list((tmp_path / "run").glob("*-noised.safetensors"))
    assert len(summed) == 2 * 2  # rounds of each federation
