"""The work that `simulations.bench.federation` times, by each engine; run as a process.

Clients' features are the same for every engine: uniform random numbers of (seed, client).
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from client.store import DeviceFolder, DeviceSettings
from common.clips import ClipSet
from common.files import private_folder, write_atomically
from common.heads.specification import HeadSpecification
from common.heads.training import LOGISTIC_EPOCHS, LOGISTIC_RATE
from common.paths import simulated_device
from common.randomness import generator
from common.settings import FederationPlan
from server.federation import run_federation
from server.run import ServerPlan
from simulations.watching import unwatched

CLIPS = 8
SEED = 0
NOT_COUNTED = 1
"""Head rounds at the start that warm caches and processes up."""
LOOK_SECONDS = 5.0
"""Between looks whether Ray's run is over: looking takes a process, and time from what is timed."""
ROOMS = ("client", "common", "server", "simulations")
APP_CONFIG: Mapping[str, Any] = {"state-root": "", "timeout": 3600.0, "poll": 0.02}
APP = """
[project]
name = "mien-bench"
version = "1.0.0"
description = "one federation, timed"
license = "Apache-2.0"
requires-python = ">=3.11"
dependencies = []

[tool.flwr.app]
publisher = "mien"
fab-include = [{included}]

[tool.flwr.app.components]
serverapp = "simulations.engines.timed_app:app"
clientapp = "client.app:app"

[tool.flwr.app.config]
{config}
"""


@dataclass(frozen=True)
class Work:
    """Size of one measurement.

    Attributes:
        clients: at least 1.
        dimension: of a clip's feature.
        rounds: head rounds that count.
        workers: processes or threads, at least 1.
    """

    clients: int
    dimension: int
    rounds: int
    workers: int

    @property
    def specification(self) -> HeadSpecification:
        """Of the head that is trained."""
        return HeadSpecification(kind="logistic", dimension=self.dimension, features="synthetic")

    @property
    def plan(self) -> FederationPlan:
        """The default federation of a logistic head."""
        return FederationPlan(
            name="bench",
            rounds=self.rounds + NOT_COUNTED,
            epochs=LOGISTIC_EPOCHS,
            learning_rate=LOGISTIC_RATE,
            l2=0.01,
            memory=10,
            seed=SEED,
        )


def fill(features: npt.NDArray[np.float32], client: int) -> None:
    """One client's clips into (clips, dimension)."""
    generator(SEED, "bench features", client=client).random(dtype=np.float32, out=features)


def time_cohort(work: Work, root: Path) -> list[float]:
    """When each round of the cohort engine was over."""
    from simulations.engines.cohort.clients import Cohort
    from simulations.engines.cohort.fleet import CohortFleet

    del root
    torch.set_num_threads(1)
    clips = work.clients * CLIPS
    frames = np.empty((clips, work.dimension), dtype=np.float32)
    for client in range(work.clients):
        fill(frames[client * CLIPS : (client + 1) * CLIPS], client)
    cohort = Cohort(
        frames,
        lengths=np.ones(clips, dtype=np.int64),
        labels=np.tile(np.arange(CLIPS), work.clients),
        owners=np.zeros(clips, dtype=np.int64),
        counts=np.full(work.clients, CLIPS),
    )
    fleet = CohortFleet(work.specification, cohort, workers=work.workers)
    times: list[float] = []
    run_federation(
        fleet, work.specification, work.plan, lambda record: times.append(time.monotonic())
    )
    return times


def time_grid(work: Work, root: Path) -> list[float]:
    """When each round over the in-process Grid was over."""
    from simulations.engines.timed_app import read_times, run_in_process

    set_up(work, root)
    config = {**APP_CONFIG, "state-root": str(root), "poll": 0.002}
    run_in_process(work.clients, config, work.workers)
    return read_times(root)


def time_ray(work: Work, root: Path) -> list[float]:
    """When each round through Flower's simulation runtime was over."""
    from simulations.engines.flower_runtime import run_app
    from simulations.engines.timed_app import read_times

    set_up(work, root)
    app = make_app(root / "app")
    config = {**APP_CONFIG, "state-root": str(root.resolve())}
    run_app(app, config, nodes=work.clients, root=root, watch=unwatched, poll=LOOK_SECONDS)
    return read_times(root)


ENGINES: Mapping[str, Callable[[Work, Path], list[float]]] = {
    "ray": time_ray,
    "grid": time_grid,
    "cohort": time_cohort,
}


def set_up(work: Work, root: Path) -> None:
    """Every client's folder and the server's plan, for engines with messages."""
    settings = DeviceSettings(specification=work.specification, seed=SEED)
    features = np.empty((CLIPS, work.dimension), dtype=np.float32)
    private_folder(root / "devices")
    for client in range(work.clients):
        fill(features, client)
        clips = ClipSet(
            names=tuple(map(str, range(CLIPS))),
            users=(f"user-{client}",) * CLIPS,
            labels=np.arange(CLIPS),
            frames=features,
            lengths=np.ones(CLIPS, dtype=np.int64),
        )
        DeviceFolder(simulated_device(root, client)).create(settings, clips)
    ServerPlan(work.specification, (work.plan,), work.clients).save(root / "plan.json")


def make_app(folder: Path) -> Path:
    """The rooms as a Flower app whose server only times rounds."""
    source = Path(__file__).resolve().parents[2]
    for room in ROOMS:
        for file in (source / room).rglob("*.py"):
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    included = ", ".join(f'"{room}/**/*.py"' for room in ROOMS)
    config = "\n".join(f"{key} = {json.dumps(value)}" for key, value in APP_CONFIG.items())
    text = APP.format(included=included, config=config)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def seconds_per_round(times: list[float]) -> float:
    """Median time between the ends of the head rounds that count."""
    counted = times[1 + NOT_COUNTED - 1 :]
    return statistics.median(after - before for before, after in pairwise(counted))


def peak_rss_gib() -> float:
    """The most memory that this process held at once, from its first instruction on."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**20
    raise OSError("/proc/self/status does not tell VmHWM")


def main(arguments: list[str]) -> None:
    """ENGINE CLIENTS DIMENSION ROUNDS WORKERS FOLDER OUT: run once, write the figures to OUT."""
    engine, *numbers, folder, out = arguments
    clients, dimension, rounds, workers = map(int, numbers)
    work = Work(clients, dimension, rounds, workers)
    times = ENGINES[engine](work, Path(folder))
    figures = {
        "seconds_per_round": seconds_per_round(times),
        "rounds": rounds,
        "peak_rss_gib": peak_rss_gib(),
    }
    write_atomically(Path(out), json.dumps(figures).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
