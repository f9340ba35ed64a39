"""One request at a time per device: what may leave is decided before the next one is looked at.

Flower starts a process for every message. Two that run at once would read the same ledger and the
same secure sum's secrets before either wrote: a budget would count neither, and two vectors would
go out under the same masks. A lock on a file in the device's folder keeps them apart; the kernel
frees it with its process, however that one ends.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from client.settings import DeviceStore
from client.vault.device_store import VaultStore
from common.errors import WorkError
from common.files import PRIVATE_FILE

LOCK_FILE: Final = "egress.lock"
LONGEST_WAIT: Final = 120.0
"""Seconds; a round on a device's few clips takes far less, and a server's patience is longer."""
_POLL: Final = 0.02


class Busy(WorkError):
    """Another request has kept the device for too long; this one is declined."""


class _Held(threading.local):
    """Lock files that this thread holds already."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()


_HELD = _Held()


def folder_of(store: DeviceStore) -> Path:
    """Where a device keeps what it has.

    Raises:
        WorkError: the store is neither a vault nor a device's folder.
    """
    if isinstance(store, VaultStore):
        return store.vault.folder
    path = getattr(store, "path", None)
    if not isinstance(path, Path):
        raise WorkError("this device's store can't take part in rounds: it has no folder")
    return path


@contextmanager
def turn(store: DeviceStore, *, wait: float | None = None) -> Iterator[None]:
    """Hold the device alone; inside a turn of the same thread another one is no wait.

    Args:
        store: the device's.
        wait: seconds to wait for the others at the most; `LONGEST_WAIT` if None.

    Raises:
        Busy: they took longer.
        WorkError, OSError: the store has no folder, or one that can't be written to.
    """
    path = folder_of(store).resolve() / LOCK_FILE
    if path in _HELD.paths:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        _wait(descriptor, LONGEST_WAIT if wait is None else wait)
        _HELD.paths.add(path)
        try:
            yield
        finally:
            _HELD.paths.discard(path)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may have the file open, too
    finally:
        os.close(descriptor)


def _wait(descriptor: int, longest: float) -> None:
    end = time.monotonic() + longest
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise Busy(
                    f"another request has kept this device for {longest:g} seconds; "
                    "this one is declined"
                ) from None
        time.sleep(_POLL)
