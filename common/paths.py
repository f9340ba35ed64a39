"""Where things are kept when nobody says where."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Mien's cache, by the platform's convention.

    `XDG_CACHE_HOME` wherever it is set; else ~/.cache, on macOS ~/Library/Caches, on Windows
    `LOCALAPPDATA` or ~/AppData/Local.
    """
    return (_absolute("XDG_CACHE_HOME") or _platform_cache(sys.platform)) / "mien"


def _platform_cache(platform: str) -> Path:
    if platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if platform == "win32":
        return _absolute("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    return Path.home() / ".cache"


def _absolute(variable: str) -> Path | None:
    """The path that a variable names; a relative one would differ from app to app."""
    path = Path(os.environ.get(variable, ""))
    return path if path.is_absolute() else None


def simulation_folder(state_root: str) -> Path:
    """The folder that a simulation's devices and server share; empty means the default one."""
    return Path(state_root) if state_root else cache_folder() / "flower-simulation"


def simulated_device(root: Path, index: int) -> Path:
    """Folder of device `index` (from 0) of the simulation whose folder is `root`."""
    return root / "devices" / f"{index:05d}"
