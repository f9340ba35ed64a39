"""Work spread over processes, such that one that dies or hangs takes only its own task with it.

Each process has a pipe of its own and one task at a time, so it is always known which task killed
it; a fresh process takes its place.  A process pool knows neither that nor how to end a task.
Processes end with the one that started them, also when that one is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, TypeVar

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


class Lost(Enum):
    """Why a task has no outcome."""

    DIED = "died"
    TIMED_OUT = "timed out"


class _Raised(NamedTuple):
    error: Exception


def run_in_processes(
    work: Callable[[Task], Outcome],
    tasks: Iterable[Task],
    *,
    workers: int,
    time_limit: float | None = None,
) -> Iterator[tuple[Task, Outcome | Lost]]:
    """Yield (task, outcome) as tasks end, in any order; each task once.

    Args:
        work: importable function.
        tasks: taken one by one as processes are free.
        workers: processes, at least 1; started afresh (spawn), so they share nothing.
        time_limit: seconds that a task may take, the start of its process included; None is
            no limit.  What takes longer is killed.

    Returns:
        The outcome is `Lost` where the process died of the task or was killed for its time.

    Raises:
        Exception: whatever `work` raises ends the run.
    """
    source = iter(tasks)
    idle: list[_Process[Task, Outcome]] = []
    busy: list[_Process[Task, Outcome]] = []
    try:
        while True:
            for task in _next(source, workers - len(busy)):
                busy.append(_given(task, idle, work, time_limit))
            if not busy:
                return
            for process in _ended(busy):
                busy.remove(process)
                task, outcome = process.take()
                if not isinstance(outcome, Lost):
                    idle.append(process)
                yield task, outcome
    finally:
        for process in idle + busy:
            process.end()


def _next(source: Iterator[Task], count: int) -> Iterator[Task]:
    for _ in range(count):
        try:
            yield next(source)
        except StopIteration:
            return


def _given(
    task: Task,
    idle: list[_Process[Task, Outcome]],
    work: Callable[[Task], Outcome],
    time_limit: float | None,
) -> _Process[Task, Outcome]:
    while idle:
        process = idle.pop()
        if process.give(task, time_limit):
            return process
        process.end()  # it died while it waited, of nothing that a task did
    process = _Process(work)
    process.give(task, time_limit)
    return process


def _ended(busy: Sequence[_Process[Task, Outcome]]) -> list[_Process[Task, Outcome]]:
    """Processes that have an outcome, died or are out of time; waits for the first."""
    deadlines = [process.deadline for process in busy if process.deadline is not None]
    patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
    ready = wait([process.connection for process in busy], patience)
    now = time.monotonic()
    return [
        process
        for process in busy
        if process.connection in ready or (process.deadline is not None and process.deadline <= now)
    ]


class _Process(Generic[Task, Outcome]):
    def __init__(self, work: Callable[[Task], Outcome]) -> None:
        # spawn: forked children of a process with threads (torch, FFmpeg) can deadlock.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.deadline: float | None = None
        self._task: Any = None
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe breaks when the process ends

    def give(self, task: Task, time_limit: float | None) -> bool:
        """Whether the process was there to take it."""
        self._task = task
        self.deadline = None if time_limit is None else time.monotonic() + time_limit
        try:
            self.connection.send(task)
        except OSError:
            return False
        return True

    def take(self) -> tuple[Task, Outcome | Lost]:
        if not self.connection.poll():
            self.end()
            return self._task, Lost.TIMED_OUT
        try:
            outcome = self.connection.recv()
        except (EOFError, OSError):
            self.end()
            return self._task, Lost.DIED
        if isinstance(outcome, _Raised):
            self.end()
            raise outcome.error
        return self._task, outcome

    def end(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    # Ctrl-C reaches the whole group; whoever started the process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            outcome = work(task)
        except Exception as error:  # noqa: BLE001 - raised again where the work was asked for
            outcome = _Raised(error)
        connection.send(outcome)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
