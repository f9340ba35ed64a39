"""Where a device's folder is, and its device.json: settings that are not private.

device.json   {"key": {"source": "passphrase" | "keyring" | "file", "path": of the key file},
               "backbone": id, "identity": id, "inboxes": [folders], "fleet": {...}, ...}
vault.db      everything else, encrypted
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard

from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically

DEVICE_FILE: Final = "device.json"
VARIABLE: Final = "MIEN_DEVICE"
NEXT_KEY: Final = "next_key"
"""In device.json while a rekey is under way: what the vault is locked with once it is done."""
PASSPHRASE, KEYRING, KEY_FILE = KEY_SOURCES = ("passphrase", "keyring", "file")
_OTHERS_MAY: Final = 0o077


def device_folder(chosen: Path | None = None) -> Path:
    """The device's folder: `chosen`, else what MIEN_DEVICE names, else the platform's data folder.

    That is `XDG_DATA_HOME`/mien/device or ~/.local/share/mien/device, on macOS
    ~/Library/Application Support/mien/device, on Windows `LOCALAPPDATA`/mien/device.

    Raises:
        UsageError: MIEN_DEVICE is a relative path.
    """
    if chosen is not None:
        return chosen.absolute()
    named = os.environ.get(VARIABLE, "")
    if not named:
        return _platform_data(sys.platform) / "mien" / "device"
    if not Path(named).is_absolute():
        raise UsageError(f"{VARIABLE} is {named!r}, expected a whole path that starts at the root")
    return Path(named)


def _platform_data(platform: str) -> Path:
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    if platform == "win32":
        return _absolute("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    return _absolute("XDG_DATA_HOME") or Path.home() / ".local" / "share"


def _absolute(variable: str) -> Path | None:
    path = Path(os.environ.get(variable, ""))
    return path if path.is_absolute() else None


def check_device(folder: Path) -> Path:
    """`folder`, if it is a device's and closed to other users.

    Raises:
        UsageError: there is no device, or other users may look into its folder.
    """
    if not (folder / DEVICE_FILE).is_file():
        raise UsageError(f"{folder}: there is no device here; make one with `mien device init`")
    if os.name == "posix" and folder.stat().st_mode & _OTHERS_MAY:
        raise UsageError(
            f"{folder}: other users of this computer may open the device's folder; "
            f"close it with `chmod 700 {folder}`"
        )
    return folder


def read_device(folder: Path) -> dict[str, Any]:
    """The settings in device.json.

    Raises:
        UsageError: see `check_device`.
        WorkError: the file can't be read or holds something else.
    """
    path = check_device(folder) / DEVICE_FILE
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WorkError(f"{path}: the device's settings can't be read: {error}") from error
    if not isinstance(settings, dict) or not names_a_key(settings.get("key")):
        raise WorkError(
            f"{path}: the device's settings do not say where its key comes from; expected "
            f'"key": {{"source": one of {", ".join(KEY_SOURCES)}}}'
        )
    return settings


def names_a_key(key: object) -> TypeGuard[dict[str, str]]:
    """Whether it is what device.json says of where a key comes from."""
    if not isinstance(key, dict) or key.get("source") not in KEY_SOURCES:
        return False
    return key["source"] != KEY_FILE or isinstance(key.get("path"), str)


def write_device(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write device.json wholly or not at all; makes the folder, open to its owner only."""
    private_folder(folder)
    write_atomically(folder / DEVICE_FILE, json.dumps(settings, indent=1).encode() + b"\n")
