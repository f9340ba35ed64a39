"""The engine `cohort` of a whole simulation: federations in memory, tests in devices' folders."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from client.rounds import evaluate
from client.store import DeviceFolder
from common.errors import WorkError
from common.messages import Request
from common.paths import simulated_device
from server.run import load_plan, run_plan
from server.sampling import requests_of
from simulations.devices import with_device_error
from simulations.engines.cohort.clients import cohort_of
from simulations.engines.cohort.fleet import CohortFleet, Test
from simulations.simulate import Prepared
from simulations.watching import Watcher

RUN_ID = 1


def run_cohort(prepared: Prepared, *, workers: int, watch: Watcher) -> None:
    """Train on the prepared devices' clips; what the server leaves is on disk, as ever.

    Held-out devices test the final heads in their own folders, by the same code as with messages.

    Args:
        prepared: by `simulations.simulate.prepare`.
        workers: threads that train, and processes that test. Results do not depend on it.
        watch: told of progress.

    Raises:
        WorkError: a device's update is none, or a device can't test itself.
    """
    plan = load_plan(prepared.root / "plan.json")
    devices = len(prepared.users)
    requests = sum(requests_of(federation, devices) for federation in plan.federations)
    answered = 0

    def count(more: int) -> None:
        nonlocal answered
        answered += more
        watch("federation", answered, requests)

    held_out = {
        name: np.array([user in out for user in prepared.users])
        for name, out in prepared.protocol.held_out.items()
    }
    with _tester(prepared.root, devices, workers) as test:
        fleet = CohortFleet(
            prepared.specification,
            cohort_of([prepared.source.clips.of_user(user) for user in prepared.users]),
            held_out=held_out,
            test=test,
            workers=workers,
            progress=count,
        )
        try:
            run_plan(fleet, plan, prepared.root / "server")
        except WorkError as error:
            raise with_device_error(prepared.root, error) from error


@contextmanager
def _tester(root: Path, devices: int, workers: int) -> Iterator[Test]:
    """What lets every device test a head, in this process or shared by several."""
    folders = [simulated_device(root, index) for index in range(devices)]
    if workers == 1:
        yield partial(_test_all, folders, map)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, devices), mp_context=spawn) as pool:
        yield partial(_test_all, folders, pool.map)


def _test_all(folders: Sequence[Path], each: Callable[..., Any], request: Request) -> None:
    deque(each(partial(_test_device, request=request), folders), maxlen=0)


def _test_device(folder: Path, request: Request) -> None:
    evaluate(DeviceFolder(folder), request, run=RUN_ID)
