"""Frames of a video, one after the other, in bounded memory.

A video is a file, or a binary stream that may still be arriving (`common.video.source`).  Only a
handful of frames is alive at any time, however long it is.

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

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import av
import av.error
import av.logging
from av.video.reformatter import VideoReformatter

from common.errors import UsageError
from common.video import Image
from common.video.containers import begins_like_video
from common.video.faults import LONGEST_SIDE, MOST_PIXELS
from common.video.faults import ClipError as ClipError
from common.video.faults import Reason as Reason
from common.video.picture import Converters, Picture
from common.video.source import Readable, Source, readable

T = TypeVar("T")

_CONTAINERS: Final = "mov,matroska,avi"
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
    source: Source,
    *,
    name: str | Path | None = None,
    every: int = 1,
    max_frames: int | None = None,
    threads: int = 1,
) -> Iterator[Image]:
    """Decode a video, upright (the rotation noted in the file is applied).

    Args:
        source: an MP4, MOV, WebM, MKV or AVI file, or a binary stream of one, see
            `common.video.source`.
        name: for sentences about it; by default the path.
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
    decoded = pictures(source, name=name, every=every, max_frames=max_frames, threads=threads)
    return (picture.image() for picture in decoded)


def pictures(
    source: Source,
    *,
    name: str | Path | None = None,
    every: int = 1,
    max_frames: int | None = None,
    threads: int = 1,
) -> Iterator[Picture]:
    """The frames of `frames` before they are made RGB.

    A picture may be kept after the iterator has gone on.

    Args:
        source: an MP4, MOV, WebM, MKV or AVI file, or a binary stream of one.
        name: for sentences about it; by default the path.
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
    return _pictures(source, name, every, max_frames, threads)


def check_range(every: int, max_frames: int | None) -> None:
    """Refuse what takes no frame.

    Raises:
        UsageError: `every` or `max_frames` is below 1.
    """
    if every < 1:
        raise UsageError(f"every is {every}; take every frame (1) or every k-th with k above 1")
    if max_frames is not None and max_frames < 1:
        raise UsageError(f"max_frames is {max_frames}; give at least 1, or leave it out for all")


def _pictures(
    given: Source, name: str | Path | None, every: int, max_frames: int | None, threads: int
) -> Iterator[Picture]:
    source = readable(given, name)
    taken = 0
    convert = Converters(VideoReformatter(), VideoReformatter())
    with _opened(source) as container:
        stream = _video_stream(source, container, threads)
        decoded = enumerate(_decoded(source, container, stream))
        stop = None if max_frames is None else every * (max_frames - 1) + 1
        for index, frame in islice(decoded, 0, stop, every):
            taken += 1
            yield Picture(source.name, index, frame, convert)
    if not taken:
        raise ClipError(Reason.NO_FRAMES, source.name)


@contextmanager
def _opened(source: Readable) -> Iterator[Any]:
    try:
        container = source.open(_OPTIONS)
    except (av.error.FFmpegError, ValueError) as error:
        reason = Reason.TRUNCATED if begins_like_video(source.head) else Reason.NOT_A_VIDEO
        raise ClipError(reason, source.name) from error
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, source.name) from error
    with container:
        yield container


def _video_stream(source: Readable, container: Any, threads: int) -> Any:
    stream = _first_video(container)
    if stream is None:
        raise ClipError(Reason.NO_VIDEO_STREAM, source.name)
    context = stream.codec_context
    if context is None:
        raise ClipError(Reason.UNDECODABLE, source.name)
    if _too_large(context):
        raise ClipError(Reason.TOO_LARGE, source.name)
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


def _decoded(source: Readable, container: Any, stream: Any) -> Iterator[Any]:
    packets = 0
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise ClipError(Reason.TRUNCATED, source.name)
            packets += bool(packet.size)
            for frame in packet.decode():
                if _too_large(frame):
                    raise ClipError(Reason.TOO_LARGE, source.name)
                yield frame
    except (av.error.FFmpegError, ValueError) as error:
        reason = Reason.TOO_LARGE if _declared_too_large(source) else Reason.TRUNCATED
        raise ClipError(reason, source.name) from error
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, source.name) from error
    if source.fell_short():
        raise ClipError(Reason.TRUNCATED, source.name)
    promised = _promised_packets(container, stream) if source.reopens else 0
    if packets < promised and _stored_packets(source) < promised:
        raise ClipError(Reason.TRUNCATED, source.name)


def _declared_too_large(source: Readable) -> bool:
    """Whether the container says so; a decoder that refused a size does not tell it."""
    try:
        with source.again(_PROBE_OPTIONS) as container:
            stream = _first_video(container)
            context = stream.codec_context if stream else None
            return context is not None and _too_large(context)
    except (av.error.FFmpegError, ValueError):
        return False


def _promised_packets(container: Any, stream: Any) -> int:
    # Only MP4's sample table is exact; other containers carry estimates or nothing.
    return int(stream.frames) if "mp4" in container.format.name else 0


def _stored_packets(source: Readable) -> int:
    """Packets of an MP4's video that are there, shown or not; none is decoded.

    A trimmed file promises all that it stores, and its edit list (ISO/IEC 14496-12, 8.6.6) hides
    some of that.
    """
    try:
        with source.again(_STORED_OPTIONS) as container:
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
