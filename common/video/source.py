"""Where a video's bytes come from: a file, an open file, or a stream that arrives in pieces.

A stream that cannot go back is read as it arrives where its container allows that: Matroska, WebM
and fragmented MP4, which is what browsers record.  Anything else (an MP4 with its index at the end,
AVI) is first taken into memory, up to `MOST_HELD_BYTES`; never into a file, since the caller may
have its reasons for not giving one.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import av

from common.video.containers import (
    HEAD_BYTES,
    begins_like_matroska,
    begins_like_mp4,
    is_cut,
    is_fragmented,
    segment_end_of,
)
from common.video.faults import ClipError, Reason

Source = Path | BinaryIO
"""A binary stream is read from where it is; its `read(n)` may return fewer bytes, b"" ends it."""

UNNAMED: Final = "the recording"
MOST_HELD_BYTES: Final = 256 << 20
_BEGINNING_BYTES: Final = 1 << 16
"""Kept of a stream, to look once more at what its container declares."""
_PIECE_BYTES: Final = 1 << 16

Options = dict[str, str]


class Readable(Protocol):
    """A source that has been looked at and holds something."""

    @property
    def name(self) -> str | Path:
        """For sentences about it."""
        ...

    @property
    def head(self) -> bytes:
        """The first `HEAD_BYTES`, fewer where there are no more."""
        ...

    @property
    def reopens(self) -> bool:
        """Whether `again` gives the whole once more, not only its beginning."""
        ...

    def open(self, options: Options) -> Any:
        """PyAV's container; called once.

        Raises:
            av.error.FFmpegError, ValueError: FFmpeg cannot open it.
        """
        ...

    def again(self, options: Options) -> Any:
        """Another container from the start; at least what the beginning declares is there."""
        ...

    def fell_short(self) -> bool:
        """Whether fewer bytes came than the container promises; asked when all has been read."""
        ...


def readable(source: Source, name: str | Path | None = None) -> Readable:
    """Look at a source's first bytes and make sure that its end is there, as far as that shows.

    Args:
        source: a path, or a binary stream; nothing but this reads from it until the end.
        name: for sentences about it; by default the path, or `UNNAMED`.

    Raises:
        ClipError: it is missing, unreadable, empty, cut short, or too large to be held.
    """
    if isinstance(source, Path):
        return _OnDisk(source, name or source)
    told = name or UNNAMED
    try:
        if source.seekable() and source.tell() == 0:
            return _Seekable(source, told)
        return _arriving(_Pieces(source), told)
    except (OSError, ValueError) as error:
        raise ClipError(Reason.UNREADABLE, told) from error


def _checked(file: BinaryIO, name: str | Path) -> bytes:
    head = file.read(HEAD_BYTES)
    cut = is_cut(head, file)
    if not head:
        raise ClipError(Reason.EMPTY_FILE, name)
    if cut:
        raise ClipError(Reason.TRUNCATED, name)
    return head


class _OnDisk:
    reopens = True

    def __init__(self, path: Path, name: str | Path) -> None:
        self.name = name
        self._path = path
        try:
            if not path.exists():
                raise ClipError(Reason.MISSING, name)
            if not path.is_file():
                raise ClipError(Reason.NOT_A_FILE, name)
            with path.open("rb") as file:
                self.head = _checked(file, name)
        except OSError as error:
            raise ClipError(Reason.UNREADABLE, name) from error

    def open(self, options: Options) -> Any:
        # An absolute path cannot be mistaken for a URL or an FFmpeg protocol.
        return av.open(str(self._path.absolute()), options=options)

    again = open

    def fell_short(self) -> bool:
        return False


class _Seekable:
    reopens = True

    def __init__(self, file: BinaryIO, name: str | Path) -> None:
        self.name = name
        self._file = file
        self.head = _checked(file, name)

    def open(self, options: Options) -> Any:
        self._file.seek(0)
        return av.open(_Borrowed(self._file), options=options)

    again = open

    def fell_short(self) -> bool:
        return False


class _Arriving:
    reopens = False

    def __init__(self, pieces: _Pieces, name: str | Path) -> None:
        self.name = name
        self._pieces = pieces
        self.head = pieces.beginning(HEAD_BYTES)

    def open(self, options: Options) -> Any:
        return av.open(self._pieces, options=options)

    def again(self, options: Options) -> Any:
        return av.open(io.BytesIO(self._pieces.kept), options=options)

    def fell_short(self) -> bool:
        if not begins_like_matroska(self.head):
            return False
        promised = segment_end_of(self._pieces.kept)
        return promised is not None and self._pieces.count < promised


def _arriving(pieces: _Pieces, name: str | Path) -> Readable:
    head = pieces.beginning(HEAD_BYTES)
    if begins_like_matroska(head) or (begins_like_mp4(head) and _in_fragments(pieces)):
        return _Arriving(pieces, name)
    return _Seekable(io.BytesIO(_held(pieces, name)), name)


def _in_fragments(pieces: _Pieces) -> bool:
    wanted = _PIECE_BYTES // 64
    while wanted <= _BEGINNING_BYTES:
        beginning = pieces.beginning(wanted)
        found = is_fragmented(beginning)
        if found is not None or len(beginning) < wanted:
            return bool(found)
        wanted *= 2
    return False


def _held(pieces: _Pieces, name: str | Path) -> bytes:
    held = io.BytesIO()
    while piece := pieces.read(_PIECE_BYTES):
        if held.tell() + len(piece) > MOST_HELD_BYTES:
            raise ClipError(Reason.TOO_MUCH, name)
        held.write(piece)
    return held.getvalue()


class _Pieces:
    """Reads what has arrived, without waiting for more than that; keeps the beginning."""

    def __init__(self, file: BinaryIO) -> None:
        # A buffered reader's `read` would wait until all that was asked for is there.
        self._read = getattr(file, "read1", file.read)
        self._ahead = b""
        self.kept = b""
        self.count = 0

    def beginning(self, size: int) -> bytes:
        """The first `size` bytes, fewer where the stream is shorter; before any `read`."""
        while len(self._ahead) < size and (piece := self._fetch(size)):
            self._ahead += piece
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._ahead:
            piece, self._ahead = self._ahead[:size], self._ahead[size:]
            return piece
        return self._fetch(size)

    def _fetch(self, size: int) -> bytes:
        piece = self._read(size)
        if piece is None:
            raise BlockingIOError("the stream does not wait for its bytes")
        self.count += len(piece)
        self.kept += piece[: max(0, _BEGINNING_BYTES - len(self.kept))]
        return bytes(piece)


class _Borrowed:
    """A file without `close`: it is the caller's."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
