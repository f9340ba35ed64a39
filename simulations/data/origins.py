"""Where a clip's bytes are: in a file of its own or inside archives."""

from __future__ import annotations

import itertools
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from common.files import PRIVATE_FILE, private_folder
from common.video.faults import Reason
from simulations.data.archives import (
    ARCHIVE_DAMAGED,
    ARCHIVE_TOO_DEEP,
    DEEPEST,
    LARGEST_CLIP,
    open_archive,
    unpack,
)
from simulations.data.processes import is_alive
from simulations.data.unusable import Unusable

ARCHIVE: Final = ".zip"
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
LINKED_FOLDER: Final = "linked_folder"
UNREADABLE_FOLDER: Final = "unreadable_folder"


@dataclass(frozen=True, order=True)
class Origin:
    """A file: its path on disk and, where that is an archive, the names that lead into it."""

    path: Path
    members: tuple[str, ...] = ()

    @property
    def name(self) -> PurePosixPath:
        """Its own name, without folders and archives."""
        return PurePosixPath(PurePosixPath(self.members[-1] if self.members else self.path).name)

    def below(self, root: Path) -> str:
        """Its place below `root` as printable text, archives named like folders."""
        path = self.path.name if self.path == root else self.path.relative_to(root).as_posix()
        return printable("/".join((path, *self.members)))


@dataclass(frozen=True)
class Unlisted:
    """A folder or archive whose files could not be listed."""

    origin: Origin
    reason: str
    detail: str


def printable(text: str) -> str:
    """Text that every terminal, table and file can hold: what cannot be shown is a `?`."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def list_files(root: Path, suffixes: Sequence[str] = ()) -> Iterator[Origin | Unlisted]:
    """All files below `root` (or in it, where it is an archive), sorted, with those in archives.

    Links to folders are not followed, so no loop can arise.  A folder whose name ends in one of
    `suffixes` is searched like others, and told: somebody took it for a file.

    Raises:
        OSError: the system's folder for temporary files is full.
    """
    scratch = Path(tempfile.gettempdir())
    for found in [Origin(root)] if root.is_file() else _on_disk(root, tuple(suffixes)):
        if isinstance(found, Origin) and _is_archive(found):
            yield from _in_archive(found, scratch)
        else:
            yield found


def _on_disk(root: Path, suffixes: tuple[str, ...]) -> Iterator[Origin | Unlisted]:
    unlisted: list[Unlisted] = []

    def note(error: OSError) -> None:
        detail = f"the folder cannot be read ({error.strerror}); check its permissions"
        unlisted.append(Unlisted(Origin(Path(error.filename)), UNREADABLE_FOLDER, detail))

    files: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=note):
        files += [Path(folder, name) for name in names]
        unlisted += filter(None, (_told(Path(folder, name), suffixes) for name in folders))
    yield from map(Origin, sorted(files))
    yield from sorted(unlisted, key=lambda problem: problem.origin)


def _told(folder: Path, suffixes: tuple[str, ...]) -> Unlisted | None:
    if folder.is_symlink():
        detail = "links to folders are not followed; give it too"
        return Unlisted(Origin(folder), LINKED_FOLDER, detail)
    if folder.suffix.lower() not in suffixes or folder.name.startswith("."):
        return None
    detail = "it is a folder with a clip's name; only the files in it are looked at"
    return Unlisted(Origin(folder), Reason.NOT_A_FILE.value, detail)


def _is_archive(origin: Origin) -> bool:
    is_file = bool(origin.members) or origin.path.is_file()
    hidden = origin.name.name.startswith(".")
    return is_file and not hidden and origin.name.suffix.lower() == ARCHIVE


def _in_archive(origin: Origin, scratch: Path) -> Iterator[Origin | Unlisted]:
    if len(origin.members) >= DEEPEST:
        detail = f"archives are read {DEEPEST} deep; unpack the outermost one"
        yield Unlisted(origin, ARCHIVE_TOO_DEEP, detail)
        return
    try:
        with open_archive(origin.path, origin.members, scratch) as archive:
            names = sorted({each.filename for each in archive.filelist if not each.is_dir()})
    except Unusable as fault:
        yield Unlisted(origin, fault.reason, f"the archive cannot be used: {fault.detail}")
        return
    except OSError as error:
        detail = f"the archive cannot be read ({error.strerror}); check its permissions"
        yield Unlisted(origin, ARCHIVE_DAMAGED, detail)
        return
    for name in names:
        member = Origin(origin.path, (*origin.members, name))
        if _is_archive(member):
            yield from _in_archive(member, scratch)
        else:
            yield member


class Scratch:
    """Folder for clips that are taken out of archives, one at a time per process.

    The last archive stays open until `close`: clips come sorted, and an archive inside an archive
    may have to be unpacked to be opened.
    """

    _numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: tuple[object, AbstractContextManager[object], zipfile.ZipFile] | None = None

    def close(self) -> None:
        """Close the archive that was read last."""
        if self._opened is not None:
            _, opening, _ = self._opened
            self._opened = None
            opening.__exit__(None, None, None)

    def sweep(self) -> None:
        """Remove what killed processes left."""
        for path in self._folder.glob("*-*"):
            owner = path.name.partition("-")[0]
            if owner.isdecimal() and not is_alive(int(owner)):
                path.unlink(missing_ok=True)

    @contextmanager
    def file_of(self, origin: Origin) -> Iterator[Path]:
        """A path where the file's bytes are while the block runs.

        Raises:
            Unusable: it cannot be had from its archive.
            OSError: the archive cannot be read, or the disk is full.
        """
        if not origin.members:
            yield origin.path
            return
        private_folder(self._folder)
        path = self._folder / f"{os.getpid()}-{next(self._numbers)}{origin.name.suffix.lower()}"
        try:
            archive = self._archive(origin.path, origin.members[:-1])
            with os.fdopen(os.open(path, _NEW_FILE, PRIVATE_FILE), "wb") as target:
                unpack(archive, origin.members[-1], target, LARGEST_CLIP)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _archive(self, path: Path, inside: tuple[str, ...]) -> zipfile.ZipFile:
        key = (path, inside, _fingerprint(path))
        if self._opened is not None and self._opened[0] == key:
            return self._opened[2]
        self.close()
        opening = open_archive(path, inside, self._folder)
        archive = opening.__enter__()
        self._opened = (key, opening, archive)
        return archive


def _fingerprint(path: Path) -> tuple[int, int, int]:
    about = path.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns
