"""Flower's pulls of replies made to end at a deadline.

A reply is announced before its objects are uploaded. Flower's Grid waits up to two hours for the
objects of one reply before it looks at the next: a device that announces and sends nothing would
hold up the server and everybody behind it. Here a pull gives up at the deadline; Flower then hands
out an error in that reply's place. Replies whose objects are there are pulled at the first try,
whatever the time is, so that those behind such a device count.

Wraps a function of flwr 1.41; another version that lacks it fails at the first pull.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks for an object; by so much a pull may end after its deadline."""


@contextmanager
def pulls_end_by(deadline: float, grid: ModuleType) -> Iterator[None]:
    """Let Flower wait for objects until a deadline while the block runs.

    Args:
        deadline: `time.monotonic` at it; what is there is pulled after it, too.
        grid: Flower's module with the Grid that a server app is given.
    """
    flower: Any = grid
    original = flower.pull_objects

    def bounded(object_ids: list[str], pull_object_fn: Callable[[str], bytes]) -> dict[str, bytes]:
        found: dict[str, bytes] = original(
            object_ids,
            pull_object_fn,
            max_time=max(0.0, deadline - time.monotonic()),
            max_tries_per_object=None,
            initial_backoff=FIRST_PAUSE,
            backoff_cap=LONGEST_PAUSE,
        )
        return found

    flower.pull_objects = bounded
    try:
        yield
    finally:
        flower.pull_objects = original
