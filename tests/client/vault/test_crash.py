"""kill -9 at random points: everything acknowledged is there, and nothing by halves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def crash(mode: str, rounds: int, seed: int, folder: Path) -> None:
    command = [sys.executable, "-m", "tests.client.vault.crash", mode, str(rounds), str(seed)]
    done = subprocess.run(
        [*command, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout.startswith("0 steps")


@pytest.mark.parametrize("mode", ["work", "rekey", "create", "restore"])
def test_a_killed_process_leaves_a_whole_vault(tmp_path: Path, mode: str) -> None:
    crash(mode, 4, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "rounds"), [("work", 200), ("rekey", 200), ("create", 30), ("restore", 40)]
)
def test_many_killed_processes_leave_whole_vaults(tmp_path: Path, mode: str, rounds: int) -> None:
    crash(mode, rounds, 2, tmp_path)
