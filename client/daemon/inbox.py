"""A watched folder: which of its files are whole and new. Looks, never changes anything.

A folder is read only when its own time stamp has changed, and now and then; in between only the
files that are still settling are looked at, so that a big inbox costs nothing while it rests.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.errors import WorkError

VIDEOS: Final = frozenset((".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"))
"""Containers that `common.video.decode` opens."""
UNFINISHED: Final = frozenset((".part", ".partial", ".crdownload", ".download", ".tmp", ".swp"))
"""What browsers and copying programs call a file that they have not finished."""
REREAD_SECONDS: Final = 30.0
"""After which a folder is read again though its time stamp is the same: a file may have grown."""
WRITER_SECONDS: Final = 600.0
"""After which a file that stays as it is is taken, though somebody still has it open to write."""
Stamp = tuple[int, int, int]
"""Inode, size in bytes, time of the last change in nanoseconds."""


@dataclass(frozen=True)
class Found:
    """A file that has settled; `reason` says why it can't be a clip, empty where it may be one."""

    path: Path
    reason: str = ""


@dataclass
class _Settling:
    stamp: Stamp
    since: float


class Inbox:
    """One folder, without the folders in it.

    Args:
        folder: to watch; it may be missing, and come later.
        settle: seconds for which a file must stay as it is.
    """

    def __init__(self, folder: Path, *, settle: float) -> None:
        self.folder = folder
        self._settle = settle
        self._settling: dict[str, _Settling] = {}
        self._taken: dict[str, Stamp] = {}
        self._folder_stamp: int | None = None
        self._read_at = -REREAD_SECONDS

    @property
    def waiting(self) -> int:
        """Files that have not settled yet."""
        return len(self._settling)

    def look(self, now: float) -> list[Found]:
        """Files that have settled since the last look, each told of once, the oldest first.

        Args:
            now: seconds of a clock that only goes forward.

        Raises:
            WorkError: the folder is there but can't be read.
        """
        if self._must_read(now):
            self._read(now)
        ready = [name for name in list(self._settling) if self._is_ready(name, now)]
        ready.sort(key=lambda name: self._settling[name].stamp[2])
        for name in ready:
            self._taken[name] = self._settling.pop(name).stamp
        return [Found(self.folder / name, _reason(name)) for name in ready]

    def take_again(self, path: Path) -> None:
        """Tell of a file once more: it could not be worked on, for reasons not its own."""
        if self._taken.pop(path.name, None) is not None:
            self._folder_stamp = None

    def _must_read(self, now: float) -> bool:
        try:
            stamp = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            stamp = None
        except OSError as error:
            raise self._unreadable(error) from error
        changed = stamp != self._folder_stamp
        # A second change within the clock's tick leaves the stamp as it is: read once more.
        fresh = now - self._read_at < 2 * self._settle and bool(self._settling)
        self._folder_stamp = stamp
        return changed or fresh or now - self._read_at >= REREAD_SECONDS

    def _read(self, now: float) -> None:
        self._read_at = now
        found: dict[str, Stamp] = {}
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    stamp = _stamp(entry)
                    if stamp is not None and not _is_unfinished(entry.name):
                        found[entry.name] = stamp
        except FileNotFoundError:
            pass  # the folder is not there now; its files are gone
        except OSError as error:
            raise self._unreadable(error) from error
        for known in (self._taken, self._settling):
            for name in known.keys() - found.keys():
                del known[name]
        for name, stamp in found.items():
            if self._taken.get(name) != stamp and name not in self._settling:
                self._taken.pop(name, None)
                self._settling[name] = _Settling(stamp, now)

    def _is_ready(self, name: str, now: float) -> bool:
        """Whether a file has not changed for long enough and nobody is writing to it."""
        path = self.folder / name
        settling = self._settling[name]
        try:
            stamp = _stamp_of(path.stat())
        except OSError:
            del self._settling[name]
            return False
        if stamp != settling.stamp:
            self._settling[name] = _Settling(stamp, now)
            return False
        if now - settling.since < self._settle or stamp[1] == 0:
            return False
        return now - settling.since > WRITER_SECONDS or not is_being_written(path)

    def _unreadable(self, error: OSError) -> WorkError:
        return WorkError(
            f"{self.folder}: the inbox can't be read ({error.strerror}); clips in it are not taken"
        )


def is_being_written(path: Path) -> bool:
    """Whether some process has the file open for writing, where the system can tell.

    Linux grants a read lease only on a file that nobody writes to (fcntl(2), F_SETLEASE), for
    one's own files; elsewhere the answer is False.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # whoever reads it next will say why it can't be read
    try:
        # Should a writer come just now: the signal that tells of it is one that nothing heeds.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    """Of a regular file, or of one that a link leads to; None for all else."""
    try:
        status = entry.stat()
    except OSError:
        return None
    return _stamp_of(status) if stat.S_ISREG(status.st_mode) else None


def _stamp_of(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _is_unfinished(name: str) -> bool:
    return name.startswith((".", "~")) or Path(name).suffix.lower() in UNFINISHED


def _reason(name: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix in VIDEOS:
        return ""
    found = f"its name ends in {suffix}" if suffix else "its name has no ending"
    return f"it is not taken for a video: {found}, expected one of {' '.join(sorted(VIDEOS))}"
