"""Whether the process that left a file behind still runs."""

from __future__ import annotations

import os
from contextlib import suppress


def is_alive(process: int) -> bool:
    """Whether a process of this id runs on this machine."""
    with suppress(ProcessLookupError, OverflowError):
        try:
            os.kill(process, 0)
        except PermissionError:
            return True
        return True
    return False
