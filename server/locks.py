"""One process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.files import PRIVATE_FILE


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait until no other process or thread holds the lock of a file, made where it is missing.

    A killed process lets go of it. Not to be taken twice in one thread: it would wait for itself.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
