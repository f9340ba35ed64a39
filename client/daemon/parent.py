"""A child that ends with the process that started it, even where that is killed."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
GONE: Final = 3
"""Exit code of a child whose parent had ended before it could be watched."""


def end_with_parent(parent: int) -> None:
    """Ask Linux to end this process (SIGTERM) with `parent`; elsewhere nothing is done.

    The signal comes when the *thread* that started this process ends, so that has to be one that
    lives as long as its process.

    Args:
        parent: process id of whoever started this one; if it is gone already, this process ends.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(GONE)


def no_core_dump() -> None:
    """A crash must not write the memory, with the data key in it, to a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
