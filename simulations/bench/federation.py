"""Seconds per round: Flower through Ray, the in-process Grid, and the cohort engine; same work.

Every client has 8 synthetic clips of one frame, one per expression, and trains a logistic head on
features of a backbone's width by one full-batch step per round, both branches. Round 0 and the
first head round do not count; a figure is the median over the head rounds that follow. Setting up
(clients' clips, processes, Ray) is not in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from common.errors import WorkError
from simulations.bench.federation_work import ENGINES, Work
from simulations.watching import Watcher, unwatched

PHASE = "seconds per round"
RAY_SIZES = GRID_SIZES = (24, 1000)
COHORT_SIZES = (24, 1000, 10_000, 100_000)
COMPARED = 1000


@dataclass(frozen=True)
class Measured:
    """One engine with one number of clients, in a process of its own."""

    seconds_per_round: float
    rounds: int
    peak_rss_gib: float


def measure(
    *,
    ray: Sequence[int] = RAY_SIZES,
    grid: Sequence[int] = GRID_SIZES,
    cohort: Sequence[int] = COHORT_SIZES,
    dimension: int = 1280,
    rounds: int = 0,
    workers: int = 0,
    watch: Watcher = unwatched,
) -> dict[str, Any]:
    """Time all engines, one after the other, each run in a process of its own.

    Args:
        ray, grid, cohort: numbers of clients to measure each engine with.
        dimension: of a clip's feature, at least 1.
        rounds: head rounds that count, at least 1; 0 takes more for fewer clients.
        workers: processes or threads of an engine; 0 takes one per core.
        watch: told of progress.

    Returns:
        `seconds_per_round` by engine and number of clients (keys are text); `peak_rss_gib` of the
        cohort runs by number of clients; `cohort_times_faster` than Ray and Grid at 1000 clients,
        where both were measured; `growth`, by step from one cohort size to the next, of time over
        growth of clients (1 is linear); and what was done.

    Raises:
        WorkError: a run failed; says which.
    """
    cores = workers or os.cpu_count() or 1
    sizes = {"ray": ray, "grid": grid, "cohort": cohort}
    tasks = [(engine, size) for engine in ENGINES for size in sizes[engine]]
    found: dict[str, dict[str, Measured]] = {engine: {} for engine in sizes}
    for done, (engine, size) in enumerate(tasks):
        watch(PHASE, done, len(tasks))
        work = Work(size, dimension, rounds or _enough_rounds(engine, size), cores)
        found[engine][str(size)] = _in_own_process(engine, work)
    watch(PHASE, len(tasks), len(tasks))
    seconds = {
        engine: {size: run.seconds_per_round for size, run in runs.items()}
        for engine, runs in found.items()
    }
    return {
        "seconds_per_round": seconds,
        "peak_rss_gib": {size: run.peak_rss_gib for size, run in found["cohort"].items()},
        "cohort_times_faster": _faster(seconds),
        "growth": _growth(seconds["cohort"]),
        "rounds_counted": {
            engine: {size: run.rounds for size, run in runs.items()}
            for engine, runs in found.items()
        },
        "work": {"head": "logistic", "classes": 8, "dimension": dimension, "clips_per_client": 8},
        "workers": cores,
        "synthetic": True,
    }


def _enough_rounds(engine: str, clients: int) -> int:
    """Where a round is short, many: others on the machine disturb some of them."""
    if clients < 500:
        return 20
    if engine != "cohort" or clients > 50_000:
        return 3
    return 20 if clients < 5000 else 5


def _faster(seconds: dict[str, dict[str, float]]) -> dict[str, float]:
    size = str(COMPARED)
    if size not in seconds["cohort"]:
        return {}
    own = seconds["cohort"][size]
    return {e: seconds[e][size] / own for e in ("ray", "grid") if size in seconds[e]}


def _growth(seconds: dict[str, float]) -> dict[str, float]:
    sizes = sorted(map(int, seconds))
    return {
        f"{small} to {large}": (seconds[str(large)] / seconds[str(small)]) / (large / small)
        for small, large in pairwise(sizes)
    }


def _in_own_process(engine: str, work: Work) -> Measured:
    """Memory is a run's own, and no run finds another's threads or caches."""
    with tempfile.TemporaryDirectory(prefix="mien-bench-") as scratch:
        out = Path(scratch) / "measured.json"
        module = "simulations.bench.federation_work"
        numbers = (work.clients, work.dimension, work.rounds, work.workers)
        command = [sys.executable, "-m", module, engine, *map(str, numbers), scratch, str(out)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=_environment()
        )
        if done.returncode or not out.exists():
            words = " ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            raise WorkError(f"engine {engine} with {work.clients} clients failed: {words}")
        return Measured(**json.loads(out.read_text(encoding="utf-8")))


def _environment() -> dict[str, str]:
    """The code that runs here, and BLAS threads that do not get in the workers' way."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
