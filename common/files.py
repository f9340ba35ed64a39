"""Files that are either wholly written or not there at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from common.errors import UsageError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def private_folder(path: Path) -> Path:
    """Make `path` (and parents) and close it to other users (mode 0700)."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(PRIVATE_FOLDER)
    return path


def check_writable(folder: Path) -> None:
    """Make `folder` if it is missing and try a file in it, before hours of work go into one.

    Raises:
        UsageError: it can't be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{folder}: can't be written to ({error.strerror})") from error


def write_atomically(path: Path, content: bytes, *, mode: int = PRIVATE_FILE) -> None:
    """Write `content` to `path`: temporary file in the same folder, fsync, rename.

    A reader sees the old content or the new, never a part; after a power cut too, since the
    folder is synced after the rename.

    Raises:
        OSError: the folder is missing, full or not writable; `path` is then as it was.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's own entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
