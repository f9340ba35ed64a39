"""Frames of a video file, one after the other, in bounded memory.

Only a handful of frames is alive at any time, however long the clip is.

What FFmpeg may open is limited to local files in the containers of `_CONTAINERS`: without that a
text file can turn out to be a "video" (subtitles) and a playlist can make it open the network.

A clip that is cut short is not used in part: once its container is open, frames are handed out
as they come, but a stream that breaks or stops before the frames its container promises ends in
`Reason.TRUNCATED`.  A caller that collects the whole clip therefore leaves it out with a name and
a reason; a caller that asked for `max_frames` and had them before the break never learns of it.
Bytes missing behind the last frame are no fault unless they are part of an MP4's index.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
import av.error
import av.logging
import numpy as np

from common.errors import UsageError, WorkError
from common.video import Image

_CONTAINERS: Final = "mov,matroska,avi"
_OPTIONS: Final = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_HEAD_BYTES: Final = 12

# FFmpeg prints to stderr by itself; every fault it meets reaches the caller as a `Reason`.
av.logging.set_level(None)


class Reason(StrEnum):
    """Why a clip cannot be used: a short stable name (the value) and a sentence."""

    MISSING = "missing"
    NOT_A_FILE = "not_a_file"
    UNREADABLE = "unreadable"
    EMPTY_FILE = "empty_file"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    NO_FRAMES = "no_frames"
    NO_FACE = "no_face"

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, in plain words."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Reason.MISSING: "there is no such file; check the path",
    Reason.NOT_A_FILE: "this is a folder or a device, not a file; give the video file itself",
    Reason.UNREADABLE: "the file cannot be read; check its permissions",
    Reason.EMPTY_FILE: "the file is empty (0 bytes); copy it again",
    Reason.NOT_A_VIDEO: "this is no MP4, MOV, WebM, MKV or AVI video, whatever its name says",
    Reason.NO_VIDEO_STREAM: "the file holds no picture (only sound?); give a video with a picture",
    Reason.TRUNCATED: "the video breaks off before its end (cut short or damaged); copy it again",
    Reason.UNDECODABLE: "the video's format is not supported; convert it to H.264",
    Reason.NO_FRAMES: "the video has no frame; record it again",
    Reason.NO_FACE: "no face was found in any frame; show the face from the front in good light",
}


class ClipError(WorkError):
    """A clip that cannot be used.

    Attributes:
        reason: what kind of fault it is.
        detail: what it was found in, the path as the caller gave it.
    """

    def __init__(self, reason: Reason, detail: str | Path) -> None:
        super().__init__(reason, str(detail))
        self.reason = reason
        self.detail = str(detail)

    def __str__(self) -> str:
        return f"{self.detail}: {self.reason.sentence}"


def frames(path: Path, *, every: int = 1, max_frames: int | None = None) -> Iterator[Image]:
    """Decode `path`, upright (the rotation noted in the file is applied).

    Args:
        path: an MP4, MOV, WebM, MKV or AVI file.
        every: take frames 0, every, 2 * every, ...; at least 1.
        max_frames: stop after so many frames; at least 1, or None for all.

    Returns:
        Iterator of RGB frames, (height, width, 3) uint8, each an array of its own.  The file is
        opened when the first frame is asked for and closed with the iterator.

    Raises:
        UsageError: `every` or `max_frames` is below 1 (at once).
        ClipError: the file is unusable (from the iterator).
    """
    if every < 1:
        raise UsageError(f"every is {every}; take every frame (1) or every k-th with k above 1")
    if max_frames is not None and max_frames < 1:
        raise UsageError(f"max_frames is {max_frames}; give at least 1, or leave it out for all")
    return _frames(path, every, max_frames)


def _frames(path: Path, every: int, max_frames: int | None) -> Iterator[Image]:
    head = _checked_head(path)
    taken = 0
    with _opened(path, head) as container:
        stream = _video_stream(path, container)
        pictures = _decoded(path, container, stream)
        stop = None if max_frames is None else every * (max_frames - 1) + 1
        for picture in islice(pictures, 0, stop, every):
            taken += 1
            yield _upright(path, picture)
    if not taken:
        raise ClipError(Reason.NO_FRAMES, path)


def _checked_head(path: Path) -> bytes:
    """The first bytes of what is at least a file that can be read."""
    try:
        if not path.exists():
            raise ClipError(Reason.MISSING, path)
        if not path.is_file():
            raise ClipError(Reason.NOT_A_FILE, path)
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            index_is_cut = _begins_like_mp4(head) and _ends_inside_index(file)
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, path) from error
    if not head:
        raise ClipError(Reason.EMPTY_FILE, path)
    if index_is_cut:
        raise ClipError(Reason.TRUNCATED, path)
    return head


def _ends_inside_index(file: BinaryIO) -> bool:
    """Whether an MP4 file ends inside its "moov" box (ISO/IEC 14496-12, 4.2 and 8.2.1).

    FFmpeg opens such a file and then finds anything from no stream to all frames.
    """
    length = file.seek(0, os.SEEK_END)
    start = 0
    while start + 8 <= length:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:  # a 64-bit size follows
            size = int.from_bytes(file.read(8), "big")
        if kind == b"moov":
            return bool(start + size > length)
        if size < 8:  # 0: reaches to the end of the file
            return False
        start += size
    return False


@contextmanager
def _opened(path: Path, head: bytes) -> Iterator[Any]:
    try:
        # An absolute path cannot be mistaken for a URL or an FFmpeg protocol.
        container = av.open(str(path.absolute()), options=_OPTIONS)
    except (av.error.FFmpegError, ValueError) as error:
        reason = Reason.TRUNCATED if _begins_like_video(head) else Reason.NOT_A_VIDEO
        raise ClipError(reason, path) from error
    with container:
        yield container


def _begins_like_video(head: bytes) -> bool:
    is_matroska = head[:4] == b"\x1a\x45\xdf\xa3"
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return _begins_like_mp4(head) or is_matroska or is_avi


def _begins_like_mp4(head: bytes) -> bool:
    return head[4:8] == b"ftyp"


def _video_stream(path: Path, container: Any) -> Any:
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        raise ClipError(Reason.NO_VIDEO_STREAM, path)
    stream = streams[0]
    if stream.codec_context is None:
        raise ClipError(Reason.UNDECODABLE, path)
    # One thread: worker processes share the cores, and a damaged stream decodes the same each time.
    stream.codec_context.thread_count = 1
    return stream


def _decoded(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    packets = 0
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise ClipError(Reason.TRUNCATED, path)
            packets += bool(packet.size)
            yield from packet.decode()
    except (av.error.FFmpegError, ValueError) as error:
        raise ClipError(Reason.TRUNCATED, path) from error
    if packets < _promised_packets(container, stream):
        raise ClipError(Reason.TRUNCATED, path)


def _promised_packets(container: Any, stream: Any) -> int:
    # Only MP4's sample table is exact; other containers carry estimates or nothing.
    return int(stream.frames) if "mp4" in container.format.name else 0


def _upright(path: Path, picture: Any) -> Image:
    try:
        image = picture.to_ndarray(format="rgb24")
    except (av.error.FFmpegError, ValueError) as error:
        raise ClipError(Reason.UNDECODABLE, path) from error
    quarter_turns = round(picture.rotation / 90)  # anticlockwise, as np.rot90 counts
    return np.ascontiguousarray(np.rot90(image, quarter_turns))


def batches(images: Iterable[Image], size: int) -> Iterator[list[Image]]:
    """Lists of `size` consecutive frames, the last one shorter; holds one list at a time.

    >>> [len(batch) for batch in batches([np.zeros((2, 2, 3), np.uint8)] * 5, 2)]
    [2, 2, 1]
    """
    if size < 1:
        raise ValueError(f"a batch holds at least one frame, not {size}")
    source = iter(images)
    while batch := list(islice(source, size)):
        yield batch
