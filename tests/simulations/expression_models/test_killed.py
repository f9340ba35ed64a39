"""A real kill, at any moment: the run goes on to the same weights."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from simulations.expression_models.state import load_tensors
from simulations.expression_models.training import BEST, CHECKPOINT
from tests.simulations.expression_models.killed import train

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "tests.simulations.expression_models.killed"


def kill_when_it_trains(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", PROGRAM, str(folder)], cwd=ROOT)
    try:
        seen = 0
        last = -1
        while seen < 4 and process.poll() is None:
            path = folder / CHECKPOINT
            stamp = path.stat().st_mtime_ns if path.exists() else -1
            seen += stamp != last
            last = stamp
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it had ended before it was killed"


@pytest.mark.slow
def test_resume_after_kill_gives_the_same_weights(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    kill_when_it_trains(tmp_path / "killed")
    assert (tmp_path / "killed" / CHECKPOINT).exists()
    again = train(tmp_path / "killed")
    assert again.history == whole.history
    for name in (BEST, CHECKPOINT):
        ours, theirs = (load_tensors(tmp_path / run / name)[0] for run in ("killed", "whole"))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
