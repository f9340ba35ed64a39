from __future__ import annotations

import threading
from collections.abc import Iterator
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.video.prefetch import prefetched


class Source:
    """Counts up; knows how far it came, whether it was closed and by which thread it ran."""

    def __init__(self, count: int, error: BaseException | None = None) -> None:
        self.count, self.error = count, error
        self.made = 0
        self.closed = False
        self.threads: set[str] = set()
        self.reached = {n: Event() for n in range(count + 1)}

    def __iter__(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.threads.add(threading.current_thread().name)
                self.made += 1
                self.reached[self.made].set()
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


def running() -> int:
    return sum(thread.name == "mien-prefetch" for thread in threading.enumerate())


@given(count=st.integers(0, 30), ahead=st.integers(1, 12))
@settings(deadline=None, max_examples=30)
def test_all_items_come_in_order(count: int, ahead: int) -> None:
    source = Source(count)
    with prefetched(source, ahead) as items:
        assert list(items) == list(range(count))
    assert source.closed
    assert source.threads <= {"mien-prefetch"}
    assert running() == 0


def test_an_error_arrives_where_the_item_would_have_been() -> None:
    error = OSError("broken")
    source = Source(3, error)
    with prefetched(source, 8) as items:
        assert [next(items) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(OSError, match="broken") as caught:
            next(items)
    assert caught.value is error
    assert source.closed
    assert running() == 0


def test_a_reader_that_stops_early_ends_the_thread_and_closes_the_source() -> None:
    source = Source(1000)
    with prefetched(source, 2) as items:
        assert [next(items), next(items)] == [0, 1]
    assert source.closed
    assert source.made < 10
    assert running() == 0


def test_a_reader_that_fails_does_so_too() -> None:
    source = Source(1000)
    with pytest.raises(ZeroDivisionError), prefetched(source, 2) as items:
        sum(1 / item for item in items)
    assert source.closed
    assert running() == 0


def test_nothing_need_be_read() -> None:
    source = Source(1000)
    with prefetched(source, 1):
        assert source.reached[1].wait(10)
    assert source.closed
    assert running() == 0


@pytest.mark.parametrize("ahead", [1, 3, 8])
def test_it_runs_ahead_so_far_and_no_further(ahead: int) -> None:
    source = Source(100)
    with prefetched(source, ahead) as items:
        # without the reader's doing: what waits, and one in the making
        assert source.reached[ahead + 1].wait(10)
        assert not source.reached[ahead + 2].wait(0.2)
        for read in range(1, 20):
            next(items)
            assert source.made <= read + ahead + 1


def test_a_source_that_cannot_be_closed_is_enough() -> None:
    with prefetched([1, 2, 3], 2) as items:
        assert list(items) == [1, 2, 3]


def test_a_source_that_fails_when_it_is_closed_does_not_hang_its_reader() -> None:
    class Bad:
        def __init__(self) -> None:
            self.left = 2

        def __iter__(self) -> Bad:
            return self

        def __next__(self) -> int:
            self.left -= 1
            if self.left < 0:
                raise StopIteration
            return self.left

        def close(self) -> None:
            raise OSError("cannot close")

    with pytest.raises(OSError, match="cannot close"), prefetched(Bad(), 4) as items:
        assert list(items) == [1, 0]


@pytest.mark.parametrize("ahead", [0, -1])
def test_looking_ahead_is_at_least_one(ahead: int) -> None:
    with pytest.raises(ValueError, match="ahead"), prefetched([1], ahead):
        pass
    assert running() == 0
