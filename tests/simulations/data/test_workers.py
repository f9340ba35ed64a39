from __future__ import annotations

import itertools

import pytest

from simulations.data.workers import Lost, run_in_processes
from tests.simulations.data.fakes import (
    raise_at_three,
    sleep_long_at_two,
    square,
    square_or_die,
)


def test_each_task_once() -> None:
    assert sorted(run_in_processes(square, range(9), workers=2)) == [(i, i * i) for i in range(9)]


def test_no_task_no_process() -> None:
    assert list(run_in_processes(square, [], workers=2)) == []


def test_only_the_task_that_kills_is_lost() -> None:
    found = sorted(run_in_processes(square_or_die, range(7), workers=2), key=lambda pair: pair[0])
    assert found == [(i, Lost.DIED if i == 4 else i * i) for i in range(7)]


@pytest.mark.slow  # the limit must be longer than a process takes to start anywhere
def test_a_task_out_of_time_is_lost_and_its_process_replaced() -> None:
    found = dict(run_in_processes(sleep_long_at_two, range(5), workers=1, time_limit=30.0))
    assert found == {i: Lost.TIMED_OUT if i == 2 else i * i for i in range(5)}


def test_an_error_ends_the_run() -> None:
    with pytest.raises(KeyError, match="three"):
        list(run_in_processes(raise_at_three, range(6), workers=1))


def test_tasks_are_taken_a_few_ahead() -> None:
    taken = itertools.count()
    run = run_in_processes(square, (next(taken) for _ in range(100)), workers=1)
    next(run)
    run.close()  # type: ignore[attr-defined]
    assert next(taken) <= 2
