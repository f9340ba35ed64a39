"""One daemon per device: a lock on the folder that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from common.errors import UsageError, WorkError
from common.files import PRIVATE_FILE

LOCK_FILE: Final = "daemon.lock"


@contextmanager
def device_lock(folder: Path, wish: str) -> Iterator[None]:
    """Keep every other daemon, and what must not run beside one, away while the block runs.

    Args:
        folder: the device's.
        wish: what the caller wants to do, for the sentence that refuses it.

    Raises:
        UsageError: another process has the lock.
        WorkError: the lock's file can't be opened.
    """
    path = folder / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as error:
        raise WorkError(f"{path}: the device can't be locked ({error.strerror})") from error
    try:
        _take(descriptor, folder, wish)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path, wish: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise UsageError(
            f"{folder}: can't {wish}: a daemon (process {holder}) runs on this device; "
            "end it with `mien device stop`"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
