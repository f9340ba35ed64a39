"""ZIP archives as data sets are downloaded in: read member by member, never unpacked whole.

Names inside an archive are labels only: no file is ever made at the place that a name says.  What
is unpacked is bounded before the first byte is: a clip by `LARGEST_CLIP`, an archive inside an
archive by `LARGEST_INNER`, both by `MOST_EXPANSION`, and so is the table of contents.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from simulations.data.unusable import Unusable

LARGEST_CLIP: Final = 2 * 2**30
"""Bytes; RAVDESS's clips have 1 to 6 million."""
LARGEST_INNER: Final = 16 * 2**30
"""Bytes of a compressed archive inside an archive; one that is merely stored is read in place."""
MOST_EXPANSION: Final = 100
"""Unpacked over packed bytes; video hardly shrinks at all.  Below `_HARMLESS` bytes it is free."""
DEEPEST: Final = 2
"""Archives inside one another."""
MOST_MEMBERS: Final = 200_000
_LARGEST_DIRECTORY: Final = 64 * 2**20
_HARMLESS: Final = 2**20
_LONGEST_COMMENT: Final = 2**16
_END: Final = b"PK\x05\x06"
_END64: Final = b"PK\x06\x06"
_ENCRYPTED: Final = 0x1
_READ_ERRORS: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    zlib.error,
    ValueError,
    struct.error,
)

ARCHIVE_DAMAGED: Final = "archive_damaged"
ARCHIVE_ENCRYPTED: Final = "archive_encrypted"
ARCHIVE_BOMB: Final = "archive_bomb"
ARCHIVE_TOO_DEEP: Final = "archive_too_deep"
ARCHIVE_UNSUPPORTED: Final = "archive_unsupported"


@contextmanager
def open_archive(path: Path, inside: tuple[str, ...], scratch: Path) -> Iterator[zipfile.ZipFile]:
    """The archive at `path`, or the one inside it that `inside` leads to.

    Args:
        path: the file on disk.
        inside: names of archives inside one another, from the outermost; may be empty.
        scratch: folder for a compressed inner archive, which is unpacked to a nameless file.

    Raises:
        Unusable: it is damaged, encrypted, too large or no archive.
        OSError: the file cannot be read, or `scratch` is full.
    """
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        archive = stack.enter_context(_archive(file))
        for name in inside:
            file = stack.enter_context(_inner(archive, file, name, scratch))
            archive = stack.enter_context(_archive(file))
        yield archive


def check_member(member: zipfile.ZipInfo, largest: int = LARGEST_CLIP) -> None:
    """Refuse what must not be unpacked, by what the table of contents says.

    Raises:
        Unusable: it is encrypted or would grow too large.
    """
    if member.flag_bits & _ENCRYPTED:
        raise Unusable(
            ARCHIVE_ENCRYPTED, "it is encrypted in its archive; unpack it with the password first"
        )
    grows = member.file_size > MOST_EXPANSION * member.compress_size
    if member.file_size > largest or (grows and member.file_size > _HARMLESS):
        raise Unusable(
            ARCHIVE_BOMB,
            f"it would grow from {member.compress_size} to {member.file_size} bytes when "
            "unpacked, which no video does; unpack it yourself if you trust it",
        )


def unpack(archive: zipfile.ZipFile, name: str, target: IO[bytes], largest: int) -> None:
    """Write a member's bytes to `target` and check them against its checksum.

    Raises:
        Unusable: the member is not there, encrypted, too large, damaged or packed in a way
            that is not supported.
        OSError: `target` is full.
    """
    with _faults():
        member = archive.getinfo(name)
        check_member(member, largest)
        source = archive.open(member)
    with source:
        while block := _read(source):
            target.write(block)
    target.flush()


def _read(source: IO[bytes]) -> bytes:
    with _faults():
        return source.read(_HARMLESS)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except NotImplementedError as error:
        raise Unusable(
            ARCHIVE_UNSUPPORTED, f"its way of packing is not supported ({error}); unpack it first"
        ) from error
    except KeyError as error:
        raise Unusable(ARCHIVE_DAMAGED, "it is no longer in its archive") from error
    except _READ_ERRORS as error:
        raise Unusable(
            ARCHIVE_DAMAGED, f"it is damaged in its archive ({error}); download it again"
        ) from error


@contextmanager
def _archive(file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    with _faults():
        _check_directory(file)
        archive = zipfile.ZipFile(file)
    with archive:
        if len(archive.filelist) > MOST_MEMBERS:
            raise Unusable(ARCHIVE_BOMB, f"it has more than {MOST_MEMBERS} members")
        yield archive


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a table of contents that would fill the memory (APPNOTE 6.3, 4.3.14 and 4.3.16)."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _LONGEST_COMMENT - 22 - 20 - 56))
    tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or place + 22 > len(tail):
        raise Unusable(
            ARCHIVE_DAMAGED, "it has no table of contents (cut short?), download it again"
        )
    (size,) = struct.unpack_from("<I", tail, place + 12)
    place64 = tail.rfind(_END64, 0, place)
    if size == 0xFFFFFFFF and place64 >= 0:
        (size,) = struct.unpack_from("<Q", tail, place64 + 40)
    if size > _LARGEST_DIRECTORY:
        raise Unusable(ARCHIVE_BOMB, f"its table of contents has {size} bytes")


@contextmanager
def _inner(
    archive: zipfile.ZipFile, file: IO[bytes], name: str, scratch: Path
) -> Iterator[IO[bytes]]:
    with _faults():
        member = archive.getinfo(name)
        check_member(member, LARGEST_INNER)
    if member.compress_type == zipfile.ZIP_STORED:
        with _faults():
            start = _data_start(file, member)
        with io.BufferedReader(_Window(file, start, member.file_size)) as window:
            yield window
        return
    with tempfile.TemporaryFile(dir=scratch) as target:
        unpack(archive, name, target, LARGEST_INNER)
        yield target


def _data_start(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    file.seek(member.header_offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04":
        raise ValueError("its header is not where the table of contents says")
    name, extra = struct.unpack_from("<HH", header, 26)
    return int(member.header_offset + 30 + name + extra)


class _Window(io.RawIOBase):
    """Some bytes of a file as a file: `zipfile` itself reads from the start for each step back."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self._file, self._start, self._length = file, start, length
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise ValueError("a place before the start of the file")
        self._place = base + offset
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._place)
        left = max(0, self._length - self._place)
        block = self._file.read(min(len(buffer), left))
        buffer[: len(block)] = block
        self._place += len(block)
        return len(block)
