"""`mien fleet-demo`: it holds and leaves nothing; where it does not hold, code 1 says what."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from simulations.fleet_demo.demo import DEVICES, ROUNDS, _knowing
from simulations.fleet_demo.devices import drawn_features
from tests.cli.command import Command, mien_process

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_nginx
def test_a_whole_fleet_holds_and_leaves_nothing(tmp_path: Path) -> None:
    done = mien_process("fleet-demo", "--patience", "800", TMPDIR=str(tmp_path))
    assert done.code == 0, done.err
    assert "SYNTHETIC" in done.out
    assert f"It holds: {ROUNDS} releases adopted by every device" in done.out
    assert list(tmp_path.iterdir()) == []
    assert _knowing(str(tmp_path)) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@needs_nginx
def test_what_does_not_hold_in_time_is_code_1_and_leaves_nothing(tmp_path: Path) -> None:
    done = mien_process("fleet-demo", "--patience", "1", TMPDIR=str(tmp_path))
    assert done.code == 1
    assert "the time is over and" in done.err
    assert list(tmp_path.iterdir()) == []
    assert _knowing(str(tmp_path)) == []


def test_no_patience_at_all(mien: Command) -> None:
    assert mien("fleet-demo", "--patience", "0").code == 2


def test_actors_show_expressions_their_own_way_and_the_same_way_each_time() -> None:
    def mean(actor: int, label: int, take: int = 0) -> np.ndarray:
        return np.asarray(drawn_features(128, actor, label, take, 0).mean(axis=0))

    np.testing.assert_array_equal(drawn_features(128, 1, 2, 0, 0), drawn_features(128, 1, 2, 0, 0))
    takes = np.linalg.norm(mean(0, 1) - mean(0, 1, take=1))
    actors = np.linalg.norm(mean(0, 1) - mean(1, 1))
    expressions = np.linalg.norm(mean(0, 1) - mean(0, 2))
    assert takes < actors
    assert takes < expressions


def test_processes_are_found_by_what_they_know() -> None:
    assert DEVICES == 3
    assert str(os.getpid()) not in _knowing("python")
