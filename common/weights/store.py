"""The folder in which weight files are kept; a file is in its place only if it is the right one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from common.errors import WorkError
from common.paths import cache_folder
from common.weights.catalogue import weights_file
from common.weights.files import CHUNK, LARGEST, WeightsFile, digests_of, open_regular

FOLDER_VARIABLE: Final = "MIEN_WEIGHTS"
"""Names the folder of weights where no command says another."""
_PUBLIC_FILE: Final = 0o644
_CHECKED: Final[set[tuple[str, str, int, int, int]]] = set()


class State(Enum):
    """Of a file in the store."""

    MISSING = "missing"
    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True)
class Verdict:
    """A file in the store held against its record; `found` is empty where it is missing."""

    state: State
    found: str
    expected: str


class WeightsStore:
    """Weight files in one folder, each under the name of its record."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is made when something is first put in.

        By default it is the one that `MIEN_WEIGHTS` names, or else in Mien's cache.
        """
        self.folder = folder or _default_folder()

    def path(self, file: WeightsFile) -> Path:
        """Where the file is, or would be."""
        return self.folder / file.name

    def find(self, file: WeightsFile) -> Path:
        """The file, checked against its record once per process and content.

        Raises:
            WorkError: it is missing, or is another file than the recorded one.
        """
        path = self.path(file)
        if not _present(path):
            raise WorkError(
                f"the weights {file.name} are not in {self.folder}; run "
                f"`mien weights fetch {file.name}`, or `mien weights import FILE` if you have "
                f"them, or let the variable {FOLDER_VARIABLE} name the folder they are in"
            )
        key = (str(path.absolute()), file.expected, *_fingerprint(path))
        if key not in _CHECKED:
            self._check(file, path)
            _CHECKED.add(key)
        return path

    def verify(self, file: WeightsFile) -> Verdict:
        """Read the whole file and hold it against its record.

        Raises:
            WorkError: it is there but can't be read.
        """
        path = self.path(file)
        if not _present(path):
            return Verdict(State.MISSING, "", file.expected)
        digests = digests_of(path)
        state = State.RIGHT if file.matches(digests) else State.WRONG
        return Verdict(state, file.found(digests), file.expected)

    def import_file(self, path: Path, file: WeightsFile) -> Path:
        """Copy a file into the store if it is the recorded one; returns its place there.

        What is checked is the copy, and only a right copy takes the place of what was there.

        Raises:
            WorkError: it can't be read or copied, or is another file.
        """
        with self.scratch(file) as copy:
            try:
                _copy(path, copy)
            except OSError as error:
                raise WorkError(
                    f"{path}: can't be copied to {self.folder} ({error.strerror})"
                ) from error
            _check_as(file, copy, path)
            return self.place(copy, file)

    def place(self, part: Path, file: WeightsFile) -> Path:
        """Give a checked file of the store's folder its name.

        Raises:
            WorkError: the folder can't be written to.
        """
        target = self.path(file)
        try:
            part.chmod(_PUBLIC_FILE)
            _sync(part)
            part.replace(target)
            if os.name != "nt":  # Windows has no handle of a folder to sync
                _sync(self.folder)
        except OSError as error:
            raise WorkError(f"{target}: can't be written ({error.strerror})") from error
        return target

    @contextmanager
    def scratch(self, file: WeightsFile) -> Iterator[Path]:
        """An empty file in the store's folder, gone after the block unless it was moved."""
        self.make_folder()
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".import", dir=self.folder)
        os.close(handle)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def make_folder(self) -> None:
        """Make the folder.

        Raises:
            WorkError: it can't be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkError(f"{self.folder}: can't be made ({error.strerror})") from error

    def _check(self, file: WeightsFile, path: Path) -> None:
        try:
            file.check(path)
        except WorkError as error:
            raise WorkError(
                f"{error}; run `mien weights fetch {file.name}` for the right one"
            ) from error


def default_store() -> WeightsStore:
    """The store in the folder that `MIEN_WEIGHTS` names, or else in Mien's cache."""
    return WeightsStore()


def chosen_weights(
    files: tuple[str, ...], suffixes: tuple[str, ...], store: WeightsStore
) -> WeightsFile:
    """The first of these files with one of the suffixes that is in the store, else the first."""
    fitting = [weights_file(name) for name in files if name.endswith(suffixes)]
    there = [file for file in fitting if store.path(file).exists()]
    return (there or fitting)[0]


def _default_folder() -> Path:
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else cache_folder() / "weights"


def _check_as(file: WeightsFile, copy: Path, original: Path) -> None:
    """Check the copy; sentences name the file that the user knows."""
    try:
        file.check(copy)
    except WorkError as error:
        raise WorkError(str(error).replace(str(copy), str(original))) from error


def _copy(source: Path, target: Path) -> None:
    with open_regular(source) as reader, target.open("wb") as writer:
        copied = 0
        while piece := reader.read(CHUNK):
            copied += len(piece)
            if copied > LARGEST:
                raise WorkError(f"{source}: is larger than {LARGEST} bytes")
            writer.write(piece)


def _present(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise WorkError(f"{path}: can't be looked at ({error.strerror})") from error
    return True


def _fingerprint(path: Path) -> tuple[int, int, int]:
    about = path.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
