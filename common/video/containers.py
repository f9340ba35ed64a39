"""What the first bytes of a video say, and whether its end is there, where FFmpeg might not notice.

Containers: MP4 and MOV (ISO/IEC 14496-12), Matroska and WebM (RFC 8794, RFC 9559), AVI.
"""

from __future__ import annotations

import io
import os
import struct
from typing import BinaryIO, Final

HEAD_BYTES: Final = 12
_RIFF_UNKNOWN: Final = 2**32 - 1
_BOX_HEADER: Final = 8
_SEGMENT: Final = b"\x18\x53\x80\x67"


def begins_like_video(head: bytes) -> bool:
    """Whether the first `HEAD_BYTES` are an MP4's, Matroska's or AVI's."""
    return begins_like_mp4(head) or begins_like_matroska(head) or begins_like_avi(head)


def begins_like_avi(head: bytes) -> bool:
    """Whether the first bytes are an AVI's."""
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def begins_like_matroska(head: bytes) -> bool:
    """Whether the first bytes are Matroska's or WebM's."""
    return head[:4] == b"\x1a\x45\xdf\xa3"


def begins_like_mp4(head: bytes) -> bool:
    """Whether the first bytes are an MP4's or a newer MOV's."""
    return head[4:8] == b"ftyp"


def is_cut(head: bytes, file: BinaryIO) -> bool:
    """Whether a seekable file ends before its container says."""
    if begins_like_mp4(head):
        return _ends_inside_index(file)
    length = file.seek(0, os.SEEK_END)
    if begins_like_matroska(head):
        file.seek(0)
        promised = segment_end(file)
        return promised is not None and promised > length
    return begins_like_avi(head) and _riff_end(head) > length


def _riff_end(head: bytes) -> int:
    size = int.from_bytes(head[4:8], "little")
    return 8 + size if size < _RIFF_UNKNOWN else 0


def _ends_inside_index(file: BinaryIO) -> bool:
    """Whether an MP4 file ends inside its "moov" box (ISO/IEC 14496-12, 4.2 and 8.2.1).

    FFmpeg opens such a file and then finds anything from no stream to all frames.
    """
    length = file.seek(0, os.SEEK_END)
    start = 0
    while start + _BOX_HEADER <= length:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(_BOX_HEADER))
        if size == 1:  # a 64-bit size follows
            size = int.from_bytes(file.read(8), "big")
        if kind == b"moov":
            return bool(start + size > length)
        if size < _BOX_HEADER:  # 0: reaches to the end of the file
            return False
        start += size
    return False


def segment_end(file: BinaryIO) -> int | None:
    """Where a Matroska file's "Segment" element ends, in bytes (RFC 8794, 4 to 6; RFC 9559).

    FFmpeg takes the frames that are left for all there are.  A recorder that was not stopped
    properly, or that could not go back, leaves the length open: then nothing is promised (None).

    Args:
        file: at its first byte.
    """
    start = file.tell()
    file.seek(start + 4)
    header = _ebml_size(file)
    if header is None:
        return None
    file.seek(header, os.SEEK_CUR)
    size = _ebml_size(file) if file.read(4) == _SEGMENT else None
    return None if size is None else file.tell() - start + size


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


def is_fragmented(beginning: bytes) -> bool | None:
    """Whether an MP4's index says that its frames follow in fragments (ISO/IEC 14496-12, 8.8.1).

    Args:
        beginning: the file's first bytes.

    Returns:
        None where more bytes are needed to tell.
    """
    start = 0
    while start + _BOX_HEADER <= len(beginning):
        size, kind = struct.unpack_from(">I4s", beginning, start)
        if kind == b"moov":
            whole = beginning[start : start + size]
            return b"mvex" in whole if len(whole) == size else None
        if kind in (b"mdat", b"moof") or size < _BOX_HEADER:
            return False
        start += size
    return None


def segment_end_of(beginning: bytes) -> int | None:
    """`segment_end` of a stream, by its first bytes."""
    return segment_end(io.BytesIO(beginning))
