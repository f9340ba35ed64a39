"""One process at a time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from common.errors import WorkError

_POLL: Final = 0.1


@contextmanager
def exclusive(path: Path, *, patience: float = 1800.0) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; it stays there, empty, afterwards.

    The system takes the lock from a process that ends, however it ends.

    Args:
        path: of the lock file, in a folder that exists.
        patience: seconds to wait for another process.

    Raises:
        WorkError: another process keeps the lock, or the file can't be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WorkError(f"{path}: can't be written ({error.strerror})") from error
    try:
        _wait(descriptor, path, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, deadline: float) -> None:
    while not _taken(descriptor, path):
        if time.monotonic() > deadline:
            raise WorkError(f"{path}: another process has held this lock for long; end it first")
        time.sleep(_POLL)


def _taken(descriptor: int, path: Path) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise WorkError(f"{path}: can't be locked ({error.strerror})") from error
    return True
