"""`kill -9` in an experiment: the same command goes on where it stopped, to the same figures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.simulations.experiments.fakes import write_ravdess_table

PATIENCE = 240


def command(table: Path, out: Path) -> list[str]:
    code = "from cli.main import run; run()"
    wanted = ["experiment", "table3", "--features", str(table), "--mini", "--out", str(out)]
    return [sys.executable, "-c", code, *wanted]


def figures(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "table3.json").read_text(encoding="utf-8"))
    return found


def kill_after_a_cell(table: Path, out: Path) -> None:
    child = subprocess.Popen(
        command(table, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + PATIENCE
    while not list((out / "table3").glob("*.json")) and time.monotonic() < end:
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_experiment_goes_on_to_the_same_figures(tmp_path: Path) -> None:
    table = write_ravdess_table(tmp_path / "made-up.csv")
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    kill_after_a_cell(table, killed)
    assert not (killed / "table3.json").exists()
    for out in (killed, undisturbed):
        subprocess.run(command(table, out), check=True, capture_output=True, timeout=PATIENCE)
    assert figures(killed)["figures"] == figures(undisturbed)["figures"]
    reused = [cell["reused"] for cell in figures(killed)["cells"]]
    assert any(reused)
    assert not all(reused)
