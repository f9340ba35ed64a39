"""An iterator that is run ahead of its reader by a thread, a bounded number of items ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_POLL_SECONDS: Final = 0.05


class _End:
    """Follows the last item, with what ended the source if it failed."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def prefetched(source: Iterable[T], ahead: int) -> Iterator[Iterator[T]]:
    """The items of `source`, made by a thread: at most `ahead` wait, and one is in the making.

    Worth it where making an item releases Python's lock (FFmpeg does).  An error of the source
    reaches the reader where the item would have been.  Leaving the block stops the thread and
    closes the source, also when items are left.

    >>> with prefetched(range(3), 2) as items:
    ...     list(items)
    [0, 1, 2]
    """
    if ahead < 1:
        raise ValueError(f"ahead is {ahead}, expected at least 1")
    worker = _Worker(source, ahead)
    worker.start()
    try:
        yield worker.items()
    finally:
        worker.stop()


class _Worker(Generic[T]):
    def __init__(self, source: Iterable[T], ahead: int) -> None:
        self._source = iter(source)
        self._queue: Queue[T | _End] = Queue(ahead)
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="mien-prefetch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def items(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def _run(self) -> None:
        end = _End(None)
        try:
            self._put_all()
        except BaseException as error:  # noqa: BLE001 - handed to the reader, who raises it
            end = _End(error)
        self._put(end)

    def _put_all(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    break
        finally:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()

    def _put(self, item: T | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except Full:
                continue
            return True
        return False
