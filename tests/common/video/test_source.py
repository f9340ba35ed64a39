"""Videos from streams: what a file gives, a stream of its bytes gives too."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.video import source as sources
from common.video.containers import is_fragmented, segment_end_of
from common.video.decode import ClipError, Reason, frames
from tests.common.video import broken
from tests.common.video.clips import flat_images, numbers, write_video
from tests.common.video.files import encode
from tests.common.video.test_broken_inputs import BAD, GOOD

RECORDED = {"g": "1", "bf": "0"}
LIVE = {"live": "1", "cluster_time_limit": "40"}
FILES_ONLY = {Reason.MISSING, Reason.NOT_A_FILE, Reason.UNREADABLE}


class Trickle(io.RawIOBase, BinaryIO):
    """Cannot go back, and hands out at most `most` bytes at a time."""

    def __init__(self, content: bytes, most: int = 1000) -> None:
        self.left, self.most = content, most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int | None = -1) -> bytes:
        taken = self.most if size is None or size < 0 else min(size, self.most)
        piece, self.left = self.left[:taken], self.left[taken:]
        return piece


def reason_of(stream: io.IOBase) -> Reason:
    with pytest.raises(ClipError) as caught:
        list(frames(stream, name="from the camera"))  # type: ignore[arg-type]
    assert caught.value.detail == "from the camera"
    return caught.value.reason


@pytest.mark.parametrize("make", [io.BytesIO, Trickle])
@pytest.mark.parametrize("case", GOOD)
def test_a_stream_gives_what_the_file_gives(
    case: str, make: Callable[[bytes], io.IOBase], tmp_path: Path
) -> None:
    path = GOOD[case][0](tmp_path)
    found = list(frames(make(path.read_bytes())))  # type: ignore[arg-type]
    expected = list(frames(path))
    assert len(found) == len(expected) == GOOD[case][1]
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("make", [io.BytesIO, Trickle])
@pytest.mark.parametrize("case", [case for case in BAD if BAD[case][1] not in FILES_ONLY])
def test_a_bad_stream_has_the_files_reason(
    case: str, make: Callable[[bytes], io.IOBase], tmp_path: Path
) -> None:
    build, reason = BAD[case]
    assert reason_of(make(build(tmp_path).read_bytes())) is reason


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a browser's recorder writes it: lengths left open, a cluster every 40 ms."""
    path = tmp_path_factory.mktemp("recording") / "live.webm"
    return encode(path, flat_images(12), codec="libvpx", options=RECORDED, container_options=LIVE)


def test_a_recording_leaves_its_length_open(recording: Path) -> None:
    assert segment_end_of(recording.read_bytes()) is None


def test_frames_come_while_the_recording_goes_on(tmp_path: Path) -> None:
    """The pipe's other end is closed only when the first frame has been seen."""
    images = broken.noise(20)
    path = encode(
        tmp_path / "live.webm", images, codec="libvpx", options=RECORDED, container_options=LIVE
    )
    content = path.read_bytes()
    reading, writing = os.pipe()
    seen = threading.Event()

    def record() -> None:
        os.write(writing, content[: len(content) // 2])
        seen.wait(20)
        os.write(writing, content[len(content) // 2 :])
        os.close(writing)

    recorder = threading.Thread(target=record)
    recorder.start()
    with os.fdopen(reading, "rb") as stream:
        arriving = frames(stream)
        next(arriving)
        assert recorder.is_alive()
        seen.set()
        rest = list(arriving)
    recorder.join()
    assert len(rest) == len(images) - 1


@given(most=st.integers(1, 5000))
@settings(max_examples=15, deadline=None)
def test_the_size_of_the_pieces_does_not_matter(recording: Path, most: int) -> None:
    assert numbers(list(frames(Trickle(recording.read_bytes(), most)))) == list(range(12))


@given(end=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_a_recording_that_stops_has_frames_or_a_reason(recording: Path, end: float) -> None:
    content = recording.read_bytes()
    try:
        found = numbers(list(frames(Trickle(content[: int(end * len(content))]))))
    except ClipError:
        return
    assert found == list(range(len(found)))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_stream_that_is_shorter_than_promised_is_not_used(tmp_path: Path, share: float) -> None:
    content = broken.kind("libx264", "yuv420p", ".mkv")(tmp_path).read_bytes()
    assert reason_of(Trickle(content[: int(share * len(content))])) is Reason.TRUNCATED


@given(content=st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_end_in_a_reason(content: bytes) -> None:
    with pytest.raises(ClipError):
        list(frames(Trickle(content)))


def test_what_has_to_be_held_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = broken.whole(tmp_path)
    monkeypatch.setattr(sources, "MOST_HELD_BYTES", path.stat().st_size - 1)
    assert reason_of(Trickle(path.read_bytes())) is Reason.TOO_MUCH


def test_a_stream_that_fails_is_named(recording: Path) -> None:
    class Fails(Trickle):
        def read(self, size: int | None = -1) -> bytes:
            if len(self.left) < len(content) // 2:
                raise ConnectionResetError(104, "Connection reset by peer")
            return super().read(size)

    content = recording.read_bytes()
    assert reason_of(Fails(content)) is Reason.UNREADABLE
    assert reason_of(Fails(b"")) is Reason.UNREADABLE


def test_the_callers_stream_is_left_open(recording: Path) -> None:
    stream = io.BytesIO(recording.read_bytes())
    list(frames(stream))
    assert not stream.closed
    assert len(list(frames(Trickle(stream.getvalue())))) == 12


def test_fragments_are_told_by_the_index(tmp_path: Path) -> None:
    fragmented = broken.fragmented(tmp_path).read_bytes()
    whole = write_video(tmp_path / "whole.mp4", flat_images(3), index_first=True).read_bytes()
    assert is_fragmented(fragmented) is True
    assert is_fragmented(whole) is False
    assert is_fragmented(fragmented[:40]) is None
    assert is_fragmented(b"") is None
