"""The worker's end of the protocol: blocking reads of lines and of clips that follow them."""

from __future__ import annotations

import hashlib
import io
import os
import select
from typing import Final

from client.daemon.protocol import PIECE_BYTES, size_of
from common.errors import UsageError, WorkError

_READ: Final = 65_536


class Pipe:
    """Lines and counted bytes from a file descriptor, in the order in which they come."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()

    def line(self, limit: int, patience: float | None = None) -> bytes | None:
        """The next line with its end, or None at the end of all or if none begins in time.

        Raises:
            UsageError: it is longer than `limit` bytes.
        """
        if not self._buffer and not self._ready(patience):
            return None
        while (end := self._buffer.find(b"\n", 0, limit)) < 0:
            if len(self._buffer) >= limit:
                raise UsageError(f"a message to the device is longer than {limit} bytes")
            if not self._fill():
                return None
        return self._take(end + 1)

    def some(self, most: int) -> bytes:
        """At least one of the next `most` bytes; none only at the end of all."""
        if not self._buffer:
            self._fill()
        return self._take(min(most, len(self._buffer)))

    def _ready(self, patience: float | None) -> bool:
        return bool(select.select([self._descriptor], [], [], patience)[0])

    def _fill(self) -> bool:
        data = os.read(self._descriptor, _READ)
        self._buffer += data
        return bool(data)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


class ClipStream(io.RawIOBase):
    """A clip that arrives in pieces; it can be read once, from start to end.

    Reading raises WorkError where the clip was cut off on its way.
    """

    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self._pipe = pipe
        self._left = 0
        self._ended = False
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill as much of `buffer` as has come, at least a byte; 0 at the clip's end."""
        if not self._left and not self._ended:
            self._next_piece()
        if self._ended:
            return 0
        data = self._pipe.some(min(self._left, len(buffer)))
        if not data:
            raise self._cut("the recording broke off")
        buffer[: len(data)] = data
        self._left -= len(data)
        self._hash.update(data)
        return len(data)

    def digest(self) -> str:
        """Hexadecimal SHA-256 of the whole clip; reads on to its end."""
        self.drain()
        return self._hash.hexdigest()

    def drain(self) -> None:
        """Read on to the clip's end, so that the next line is the next job's."""
        while self.read(PIECE_BYTES):
            pass

    def _next_piece(self) -> None:
        line = self._pipe.line(PIECE_BYTES)
        if line is None:
            raise self._cut("the recording broke off")
        try:
            self._left = size_of(line)
        except UsageError as error:
            raise self._cut(str(error)) from error
        self._ended = self._left == 0

    def _cut(self, reason: str) -> WorkError:
        self._ended = True
        return WorkError(reason)
