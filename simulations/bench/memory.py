"""Memory of programs: proportional set size, in which shared pages are counted once."""

from __future__ import annotations

import os
from pathlib import Path

from common.errors import WorkError


def megabytes(pid: int) -> float:
    """PSS of a process in MB (1e6), from proc(5)'s smaps_rollup.

    Raises:
        WorkError: there is no such process, or no /proc.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError as error:
        raise WorkError(f"memory of process {pid} can't be read: {error.strerror}") from error
    told = next((line for line in text.splitlines() if line.startswith("Pss:")), "Pss: 0")
    return round(int(told.split()[1]) * 1024 / 1e6, 1)


def session_megabytes(leader: int) -> float:
    """PSS of all processes in the session of `leader`, in MB (1e6)."""
    total = 0.0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == leader:
                total += megabytes(int(entry.name))
        except (ProcessLookupError, WorkError):
            continue  # it has ended since it was listed
    return round(total, 1)
