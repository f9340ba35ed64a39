"""One record per weights file, and whether a file on disk is the recorded one."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from common.errors import UsageError, WorkError

CHUNK: Final = 1 << 20
LARGEST: Final = 1 << 30
"""Bytes; no weights file that Mien reads is larger."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Digests(NamedTuple):
    """What identifies a file's content: bytes, Git's blob id and SHA-256, in hexadecimal."""

    size: int
    git_blob_sha1: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """What is known of a weights file without having it.

    Attributes:
        name: of the file in the store.
        source: https URL, pinned to a commit or a release.
        licence: of the weights.
        git_blob_sha1: Git's id of the content, as the source's repository lists it.
        sha256: of the content; both checksums in lower-case hexadecimal.
        size: in bytes.
        purpose: what it is for, a few words.
    """

    name: str
    source: str
    licence: str
    git_blob_sha1: str | None = None
    sha256: str | None = None
    size: int | None = None
    purpose: str = ""

    def __post_init__(self) -> None:
        """Refuse a name that could leave the store's folder, and a record without checksum."""
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"weights file name {self.name!r}: expected letters, digits, . _ -")
        if self.git_blob_sha1 is None and self.sha256 is None:
            raise UsageError(f"weights {self.name}: expected a checksum, found none")
        for value, length in ((self.git_blob_sha1, 40), (self.sha256, 64)):
            if value is not None and not re.fullmatch(f"[0-9a-f]{{{length}}}", value):
                raise UsageError(
                    f"checksum {value!r} of {self.name}: expected {length} lower-case "
                    "hexadecimal digits"
                )

    @property
    def expected(self) -> str:
        """The checksums on record, for sentences."""
        return _told(self.git_blob_sha1, self.sha256)

    def matches(self, found: Digests) -> bool:
        """Whether content with these digests is this file; all that is recorded must agree."""
        return (
            self.size in (None, found.size)
            and self.git_blob_sha1 in (None, found.git_blob_sha1)
            and self.sha256 in (None, found.sha256)
        )

    def found(self, digests: Digests) -> str:
        """What of `digests` is to be held against `expected`, for sentences."""
        return _told(
            digests.git_blob_sha1 if self.git_blob_sha1 else None,
            digests.sha256 if self.sha256 else None,
        )

    def check(self, content_path: Path) -> None:
        """Hold a file against this record; reads it once, in pieces.

        Raises:
            WorkError: it can't be read or is not the recorded file.
        """
        digests = digests_of(content_path)
        if not self.matches(digests):
            sizes = "" if self.size is None else f" and {self.size} bytes"
            raise WorkError(
                f"{content_path} is not {self.name}: found {self.found(digests)} in "
                f"{digests.size} bytes, expected {self.expected}{sizes}"
            )


def digests_of(path: Path) -> Digests:
    """Size and both checksums of a regular file, read once, in pieces.

    Git's id is the SHA-1 of `blob SIZE`, a zero byte and the content (Git's object format).

    Raises:
        WorkError: it can't be read, is not a regular file or is larger than `LARGEST`.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            git, sha256 = hashlib.sha1(b"blob %d\0" % size), hashlib.sha256()
            while piece := file.read(CHUNK):
                git.update(piece)
                sha256.update(piece)
    except OSError as error:
        raise WorkError(f"{path}: can't be read ({error.strerror})") from error
    return Digests(size, git.hexdigest(), sha256.hexdigest())


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file of at most `LARGEST` bytes for reading.

    Raises:
        WorkError: a folder, a device, a pipe, or too large.
        OSError: it can't be opened.
    """
    # A pipe would keep a plain open waiting for a writer.
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
        os.close(descriptor)
        raise WorkError(f"{path}: expected a regular file of at most {LARGEST} bytes")
    return os.fdopen(descriptor, "rb")


def _told(git_blob_sha1: str | None, sha256: str | None) -> str:
    parts = [("Git blob", git_blob_sha1), ("SHA-256", sha256)]
    return " and ".join(f"{kind} {value}" for kind, value in parts if value)
