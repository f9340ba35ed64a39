"""Video files of many kinds, good and bad, made on the spot."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from common.video import Image

_MATRICES = {
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}
"""MP4's (a b; c d) of a picture that is shown turned clockwise by so many degrees."""


def encode(
    path: Path,
    images: Sequence[Image],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: int = 25,
    times: Sequence[int] = (),
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write RGB frames of one size; `times` in frames where they are not evenly spaced."""
    height, width = images[0].shape[:2]
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = times[index] if times else index
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rotated(path: Path, degrees: int) -> Path:
    """Note in an MP4 file that its picture is to be shown turned clockwise."""
    content = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in _MATRICES[degrees])
    place = content.index(b"tkhd") + 4 + 40
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
