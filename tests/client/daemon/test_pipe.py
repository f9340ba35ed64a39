"""The worker's end: lines, clips in pieces, whatever the sizes in which they come."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.daemon.pipe import ClipStream, Pipe
from client.daemon.protocol import END_OF_CLIP, line_of, pieces_of
from common.errors import UsageError, WorkError


@contextmanager
def filled(*parts: bytes) -> Iterator[Pipe]:
    """A pipe into which the parts are written, then closed."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as file:
            for part in parts:
                file.write(part)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield Pipe(reading)
    finally:
        while os.read(reading, 1 << 20):
            pass
        writer.join()
        os.close(reading)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=400), max_size=5), st.integers(1, 300))
def test_a_clip_is_read_as_it_was_sent_and_the_next_line_is_the_next_jobs(
    data: list[bytes], size: int
) -> None:
    sent = [piece for each in data for piece in pieces_of(each)]
    with filled(*sent, END_OF_CLIP, b"next\n") as pipe:
        clip = ClipStream(pipe)
        read = b""
        while part := clip.read(size):
            assert len(part) <= size
            read += part
        assert read == b"".join(data)
        assert clip.digest() == hashlib.sha256(b"".join(data)).hexdigest()
        assert clip.read(10) == b""
        assert pipe.line(100) == b"next\n"
        assert pipe.line(100) is None


def test_what_was_not_read_of_a_clip_is_passed_over() -> None:
    with filled(*pieces_of(bytes(300_000)), END_OF_CLIP, b"next\n") as pipe:
        clip = ClipStream(pipe)
        assert len(clip.read(10) or b"") == 10
        clip.drain()
        assert pipe.line(100) == b"next\n"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([line_of({"bytes": 10}) + b"four"], "broke off"),
        ([], "broke off"),
        ([line_of({"cut": "the camera is gone"})], "the camera is gone"),
        ([b"junk\n"], "not a line of JSON"),
    ],
)
def test_a_clip_that_does_not_come_whole_is_an_error_once(parts: list[bytes], said: str) -> None:
    with filled(*parts) as pipe:
        clip = ClipStream(pipe)
        with pytest.raises(WorkError, match=said):
            clip.drain()
        clip.drain()


def test_lines_are_bounded_and_waited_for_only_so_long() -> None:
    with filled(b"x" * 200) as pipe, pytest.raises(UsageError, match="longer than 100 bytes"):
        pipe.line(100)
    reading, writing = os.pipe()
    assert Pipe(reading).line(100, patience=0.01) is None
    os.write(writing, b"half a line")
    os.close(writing)
    assert Pipe(reading).line(100) is None
    os.close(reading)
