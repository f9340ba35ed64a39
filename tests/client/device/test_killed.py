"""Killed with SIGKILL at random moments: each operation happened whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client.vault.vault import Vault
from tests.client.device import crash
from tests.client.device.conftest import Play

ROOT = Path(__file__).resolve().parents[3]


def survived(folder: Path, kills: int) -> dict[str, Any]:
    temporary = folder / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.client.device.crash", str(folder), str(kills)],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    assert crash.leaks(temporary) == []
    counts: dict[str, Any] = json.loads(done.stdout)
    return counts


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_a_few_times(tmp_path: Path) -> None:
    assert survived(tmp_path, 4)["cut"] > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_at_two_hundred_moments(tmp_path: Path) -> None:
    counts = survived(tmp_path, 300)
    assert counts["cut"] >= 200, counts
    assert counts["done"] > 200, counts
    for operation in ("enrol", "recognise", "correct", "personalise", "forget"):
        assert counts["operations"].get(operation, 0) >= 3, counts


def test_the_search_for_markers_finds_them(tmp_path: Path) -> None:
    for name, form in crash.markers().items():
        (tmp_path / "file").write_bytes(b"\0\0" + form + b"\0")
        assert any(each.endswith(name) for each in crash.leaks(tmp_path)), name


def test_the_check_finds_a_lost_operation(vault: Vault, play: Play) -> None:
    """The rules of `crash.applied` agree with the real operations, and notice a missing one."""
    play.enrol("Ada")
    path = play.clip("Ada")
    play.recognise(path)
    done = [
        {"do": "enrol", "user": "Ada", "new": 1, "federate": True},
        {"do": "recognise", "user": "Ada", "clip": path.name},
    ]
    state = crash.empty()
    for operation in done:
        assert crash.found(vault) != crash.shown(state)
        state = crash.applied(state, operation)
    assert crash.found(vault) == crash.shown(state)
