"""Frames of a video file, one after the other, in bounded memory.

Only a handful of frames is alive at any time, however long the clip is.

What FFmpeg may open is limited to local files in the containers of `_CONTAINERS`: without that a
text file can turn out to be a "video" (subtitles) and a playlist can make it open the network.

A clip that is cut short is not used in part: once its container is open, frames are handed out
as they come, but a stream that breaks or stops before the frames its container promises ends in
`Reason.TRUNCATED`.  A caller that collects the whole clip therefore leaves it out with a name and
a reason; a caller that asked for `max_frames` and had them before the break never learns of it.
Bytes missing behind the last frame are no fault unless they are part of an MP4's index, of
Matroska's segment or of AVI's first list.

A picture may have at most `LONGEST_SIDE` pixels on a side and `MOST_PIXELS` in all; FFmpeg is told
so before it looks at the file, so a few bytes that declare a huge picture never get the memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import av
import av.error
import av.logging
from av.video.reformatter import VideoReformatter

from common.errors import UsageError
from common.video import Image
from common.video.faults import LONGEST_SIDE, MOST_PIXELS
from common.video.faults import ClipError as ClipError
from common.video.faults import Reason as Reason
from common.video.picture import Converters, Picture

T = TypeVar("T")

_CONTAINERS: Final = "mov,matroska,avi"
_HEAD_BYTES: Final = 12
_RIFF_UNKNOWN: Final = 2**32 - 1
_DECODER_OPTIONS: Final = {"max_pixels": str(MOST_PIXELS)}
_ONLY_FILES: Final = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
# Opening a file decodes a first frame where its container does not say all: the limit counts then.
_OPTIONS: Final = {**_ONLY_FILES, **_DECODER_OPTIONS}
_STORED_OPTIONS: Final = {**_OPTIONS, "ignore_editlist": "1"}
# So little is read that the sizes are what the container says, not what a decoder made of them.
_PROBE_OPTIONS: Final = {**_ONLY_FILES, "probesize": "32", "analyzeduration": "0"}

# FFmpeg prints to stderr by itself; every fault it meets reaches the caller as a `Reason`.
av.logging.set_level(None)


def frames(
    path: Path, *, every: int = 1, max_frames: int | None = None, threads: int = 1
) -> Iterator[Image]:
    """Decode `path`, upright (the rotation noted in the file is applied).

    Args:
        path: an MP4, MOV, WebM, MKV or AVI file.
        every: take frames 0, every, 2 * every, ...; at least 1.
        max_frames: stop after so many frames; at least 1, or None for all.
        threads: of the decoder, see `pictures`.

    Returns:
        Iterator of RGB frames, (height, width, 3) uint8, each an array of its own.  The file is
        opened when the first frame is asked for and closed with the iterator.

    Raises:
        UsageError: `every`, `max_frames` or `threads` is below 1 (at once).
        ClipError: the file is unusable (from the iterator).
    """
    source = pictures(path, every=every, max_frames=max_frames, threads=threads)
    return (picture.image() for picture in source)


def pictures(
    path: Path, *, every: int = 1, max_frames: int | None = None, threads: int = 1
) -> Iterator[Picture]:
    """The frames of `frames` before they are made RGB.

    A picture may be kept after the iterator has gone on.

    Args:
        path: an MP4, MOV, WebM, MKV or AVI file.
        every: take frames 0, every, 2 * every, ...; at least 1.
        max_frames: stop after so many frames; at least 1, or None for all.
        threads: of the decoder, at least 1.  Undamaged clips give the same pictures with any
            number; of a damaged one, how many come before the break may depend on it.

    Raises:
        UsageError: `every`, `max_frames` or `threads` is below 1 (at once).
        ClipError: the file is unusable (from the iterator).
    """
    check_range(every, max_frames)
    if threads < 1:
        raise UsageError(f"threads is {threads}; give at least 1")
    return _pictures(path, every, max_frames, threads)


def check_range(every: int, max_frames: int | None) -> None:
    """Refuse what takes no frame.

    Raises:
        UsageError: `every` or `max_frames` is below 1.
    """
    if every < 1:
        raise UsageError(f"every is {every}; take every frame (1) or every k-th with k above 1")
    if max_frames is not None and max_frames < 1:
        raise UsageError(f"max_frames is {max_frames}; give at least 1, or leave it out for all")


def _pictures(path: Path, every: int, max_frames: int | None, threads: int) -> Iterator[Picture]:
    head = _checked_head(path)
    taken = 0
    convert = Converters(VideoReformatter(), VideoReformatter())
    with _opened(path, head) as container:
        stream = _video_stream(path, container, threads)
        decoded = enumerate(_decoded(path, container, stream))
        stop = None if max_frames is None else every * (max_frames - 1) + 1
        for index, frame in islice(decoded, 0, stop, every):
            taken += 1
            yield Picture(path, index, frame, convert)
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
            is_cut = _is_cut(head, file)
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, path) from error
    if not head:
        raise ClipError(Reason.EMPTY_FILE, path)
    if is_cut:
        raise ClipError(Reason.TRUNCATED, path)
    return head


def _is_cut(head: bytes, file: BinaryIO) -> bool:
    """Whether the file ends before its container says, where FFmpeg might not notice."""
    if _begins_like_mp4(head):
        return _ends_inside_index(file)
    if _begins_like_matroska(head):
        return _ends_inside_segment(file)
    return _begins_like_avi(head) and _ends_inside_riff(head, file)


def _ends_inside_riff(head: bytes, file: BinaryIO) -> bool:
    size = int.from_bytes(head[4:8], "little")
    return size < _RIFF_UNKNOWN and 8 + size > file.seek(0, os.SEEK_END)


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


def _ends_inside_segment(file: BinaryIO) -> bool:
    """Whether a Matroska file ends before its "Segment" element does (RFC 8794, 4 to 6; RFC 9559).

    FFmpeg takes the frames that are left for all there are.  A recorder that was not stopped
    properly, or that could not go back, leaves the length open: then nothing is promised.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(4)
    header = _ebml_size(file)
    if header is None:
        return False
    file.seek(header, os.SEEK_CUR)
    is_segment = file.read(4) == b"\x18\x53\x80\x67"
    size = _ebml_size(file) if is_segment else None
    return size is not None and file.tell() + size > length


def _ebml_size(file: BinaryIO) -> int | None:
    """A variable-size integer (RFC 8794, 4); None where it says "unknown" or the file ends."""
    first = file.read(1)
    octets = 9 - first[0].bit_length() if first and first[0] else 9
    rest = file.read(octets - 1)
    if octets > 8 or len(rest) < octets - 1:
        return None
    bits = 7 * octets
    value = int.from_bytes(first + rest, "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


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
    return _begins_like_mp4(head) or _begins_like_matroska(head) or _begins_like_avi(head)


def _begins_like_avi(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def _begins_like_matroska(head: bytes) -> bool:
    return head[:4] == b"\x1a\x45\xdf\xa3"


def _begins_like_mp4(head: bytes) -> bool:
    return head[4:8] == b"ftyp"


def _video_stream(path: Path, container: Any, threads: int) -> Any:
    stream = _first_video(container)
    if stream is None:
        raise ClipError(Reason.NO_VIDEO_STREAM, path)
    context = stream.codec_context
    if context is None:
        raise ClipError(Reason.UNDECODABLE, path)
    if _too_large(context):
        raise ClipError(Reason.TOO_LARGE, path)
    context.options = _DECODER_OPTIONS
    # One by default: worker processes share the cores, and a damaged stream decodes the same each
    # time.
    context.thread_count = threads
    context.thread_type = "AUTO"
    return stream


def _first_video(container: Any) -> Any:
    cover = av.stream.Disposition.attached_pic
    streams = (s for s in container.streams.video if not s.disposition & cover)
    return next(streams, None)


def _too_large(sized: Any) -> bool:
    width, height = sized.width, sized.height
    return bool(max(width, height) > LONGEST_SIDE or width * height > MOST_PIXELS)


def _decoded(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    packets = 0
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise ClipError(Reason.TRUNCATED, path)
            packets += bool(packet.size)
            for frame in packet.decode():
                if _too_large(frame):
                    raise ClipError(Reason.TOO_LARGE, path)
                yield frame
    except (av.error.FFmpegError, ValueError) as error:
        reason = Reason.TOO_LARGE if _declared_too_large(path) else Reason.TRUNCATED
        raise ClipError(reason, path) from error
    promised = _promised_packets(container, stream)
    if packets < promised and _stored_packets(path) < promised:
        raise ClipError(Reason.TRUNCATED, path)


def _declared_too_large(path: Path) -> bool:
    """Whether the container says so; a decoder that refused a size does not tell it."""
    try:
        with av.open(str(path.absolute()), options=_PROBE_OPTIONS) as container:
            stream = _first_video(container)
            context = stream.codec_context if stream else None
            return context is not None and _too_large(context)
    except (av.error.FFmpegError, ValueError):
        return False


def _promised_packets(container: Any, stream: Any) -> int:
    # Only MP4's sample table is exact; other containers carry estimates or nothing.
    return int(stream.frames) if "mp4" in container.format.name else 0


def _stored_packets(path: Path) -> int:
    """Packets of an MP4's video that are there, shown or not; none is decoded.

    A trimmed file promises all that it stores, and its edit list (ISO/IEC 14496-12, 8.6.6) hides
    some of that.
    """
    try:
        with av.open(str(path.absolute()), options=_STORED_OPTIONS) as container:
            stream = _first_video(container)
            packets = container.demux(stream) if stream else ()
            return sum(bool(packet.size) and not packet.is_corrupt for packet in packets)
    except (av.error.FFmpegError, ValueError):
        return 0


def batches(images: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` consecutive frames or pictures, the last one shorter; holds one list.

    >>> [len(batch) for batch in batches("abcde", 2)]
    [2, 2, 1]
    """
    if size < 1:
        raise ValueError(f"a batch holds at least one frame, not {size}")
    source = iter(images)
    while batch := list(islice(source, size)):
        yield batch
