"""Work spread over processes, such that a process that dies takes only its own task with it.

A process pool cannot say which task killed a process: all tasks under way are lost with it.  These
are run again, each alone in a fresh process; the one that dies once more is the culprit.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Final, TypeVar

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

_QUEUED_PER_WORKER: Final = 2


def run_in_processes(
    work: Callable[[Task], Outcome], tasks: Iterable[Task], *, workers: int
) -> Iterator[tuple[Task, Outcome | None]]:
    """Yield (task, outcome) as tasks end, in any order; each task once.

    Args:
        work: importable function; must not return None.
        tasks: taken as they are needed, a few ahead.
        workers: processes, at least 1; started afresh (spawn), so they share nothing.

    Returns:
        The outcome is None where the process died of the task.

    Raises:
        Exception: whatever `work` raises ends the run.
    """
    source = iter(tasks)
    lost: list[Task] | None = None
    while lost is None or lost:
        lost = []
        with _pool(workers) as pool:
            try:
                yield from _until_broken(pool, work, source, workers * _QUEUED_PER_WORKER, lost)
            finally:
                pool.shutdown(cancel_futures=True)
        for task in lost:
            yield task, _alone(work, task)


def _pool(workers: int) -> ProcessPoolExecutor:
    # spawn: forked children of a process with threads (torch, FFmpeg) can deadlock.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _until_broken(
    pool: ProcessPoolExecutor,
    work: Callable[[Task], Outcome],
    source: Iterator[Task],
    window: int,
    lost: list[Task],
) -> Iterator[tuple[Task, Outcome | None]]:
    """Run tasks until `source` ends or a process dies; then `lost` holds those under way."""
    under_way: dict[Future[Outcome], Task] = {}
    while True:
        if not lost:
            _top_up(pool, work, islice(source, window - len(under_way)), under_way, lost)
        if not under_way:
            return
        done, _ = wait(under_way, return_when=FIRST_COMPLETED)
        for future in done:
            task = under_way.pop(future)
            try:
                outcome = future.result()
            except BrokenProcessPool:
                lost.append(task)
            else:
                yield task, outcome


def _top_up(
    pool: ProcessPoolExecutor,
    work: Callable[[Task], Outcome],
    tasks: Iterator[Task],
    under_way: dict[Future[Outcome], Task],
    lost: list[Task],
) -> None:
    for task in tasks:
        try:
            under_way[pool.submit(work, task)] = task
        except BrokenProcessPool:
            lost.append(task)
            return


def _alone(work: Callable[[Task], Outcome], task: Task) -> Outcome | None:
    with _pool(1) as pool:
        try:
            return pool.submit(work, task).result()
        except BrokenProcessPool:
            return None
