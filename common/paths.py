"""Where things are kept when nobody says where."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Mien's cache, by the platform's convention (`XDG_CACHE_HOME`, else ~/.cache)."""
    root = os.environ.get("XDG_CACHE_HOME")
    absolute = root is not None and Path(root).is_absolute()
    return (Path(str(root)) if absolute else Path.home() / ".cache") / "mien"


def simulation_folder(state_root: str) -> Path:
    """The folder that a simulation's devices and server share; empty means the default one."""
    return Path(state_root) if state_root else cache_folder() / "flower-simulation"


def simulated_device(root: Path, index: int) -> Path:
    """Folder of device `index` (from 0) of the simulation whose folder is `root`."""
    return root / "devices" / f"{index:05d}"
