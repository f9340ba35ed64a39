"""Tiny videos made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from common.video import Image

SIZE = (48, 64)
"""Height and width of `flat_images`."""


def flat_images(count: int) -> list[Image]:
    """Grey frames; frame i has level 15 * i + 10 everywhere, so that its number can be read."""
    return [np.full((*SIZE, 3), 15 * i + 10, dtype=np.uint8) for i in range(count)]


def numbers(images: Sequence[Image]) -> list[int]:
    """The numbers that `flat_images` put into the frames."""
    return [round((float(image.mean()) - 10) / 15) for image in images]


def write_video(
    path: Path, images: Sequence[Image], *, codec: str = "libx264", index_first: bool = False
) -> Path:
    """Write frames; `index_first` puts MP4's index before the frames, as on the web."""
    height, width = images[0].shape[:2] if images else SIZE
    options = {"movflags": "faststart"} if index_first else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        container.start_encoding()
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A tenth of a second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1600), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
