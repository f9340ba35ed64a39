"""`mien extract` killed at ten moments: nothing is done twice, nothing is half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from simulations.actors.plan import ClipPlan
from simulations.actors.writer import write_actors
from tests.cli.command import PROGRAM, ROOT

PLAN = ClipPlan(statements=(1,), repetitions=(1,), frames=3)
KILLS = 10
PATIENCE = 240.0
"""Seconds until a run that makes no progress is taken for hung."""


@contextmanager
def extracting(data: Path, cache: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, "extract", str(data), "--out", str(out)]
    with subprocess.Popen(
        [*command, "--workers", "2", "--json"],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(cache: Path) -> dict[str, tuple[int, int]]:
    """Cached clips by name, each with what changes when a file is written again."""
    files = (cache / "mien" / "features").glob("*.safetensors")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the run makes no progress"
        time.sleep(0.005)


def workers_of(parent: int) -> list[int]:
    """Processes that `parent` spawned for its work and that are alive."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if b"spawn_main" in text and f"parent_pid={parent}".encode() in text:
            found.append(int(folder.name))
    return found


def summary(data: Path, cache: Path, out: Path) -> dict[str, int]:
    with extracting(data, cache, out) as process:
        text, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    facts: dict[str, int] = json.loads(text)
    return facts


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for orphaned processes in /proc")
def test_killed_ten_times_the_file_is_the_same(tmp_path: Path) -> None:
    data, cache, out = tmp_path / "data", tmp_path / "cache", tmp_path / "out.parquet"
    total = len(write_actors(data, actors=2, seed=5, plan=PLAN))
    random = np.random.default_rng(11)
    moments = [0, 0, *np.sort(random.choice(np.arange(1, total + 1), KILLS - 2, replace=False))]
    before: dict[str, tuple[int, int]] = {}
    for moment in moments:
        with extracting(data, cache, out) as process:
            wait_for(lambda: len(finished(cache)) >= moment or process.poll() is not None)  # noqa: B023
            time.sleep(random.uniform(0, 2.0 if moment == 0 else 0.3))
            process.send_signal(signal.SIGKILL)
            process.wait()
            wait_for(lambda: not workers_of(process.pid))
        after = finished(cache)
        assert before.items() <= after.items(), "a finished clip was done again"
        before = after
        assert not list((cache / "mien" / "features" / "unpacked").glob("*"))
    resumed = summary(data, cache, out)
    assert resumed["from_cache"] == len(before)
    assert resumed["extracted"] == total - len(before)
    assert before.items() <= finished(cache).items()
    undisturbed = summary(data, tmp_path / "other", tmp_path / "other.parquet")
    assert undisturbed["extracted"] == total
    assert out.read_bytes() == (tmp_path / "other.parquet").read_bytes()
    assert [path.name for path in tmp_path.glob("*out.parquet*")] == ["out.parquet"]
