"""One decoded frame, before it is made RGB."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import av.error
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from common.errors import UsageError
from common.video import Image
from common.video.faults import ClipError, Reason


class Picture:
    """One decoded frame, turned upright and made RGB only when it is looked at.

    It keeps the frame as it was decoded (1.5 bytes per pixel for common video), and all pictures
    of a clip share one converter: use them from one thread.

    Attributes:
        index: number of the frame in the file, from 0.
    """

    __slots__ = ("_convert", "_frame", "_name", "_turns", "index")

    def __init__(self, name: str | Path, index: int, frame: Any, convert: Converters) -> None:
        self.index = index
        self._name = name
        self._frame = frame
        self._convert = convert
        self._turns = round(frame.rotation / 90) % 4  # anticlockwise, as np.rot90 counts

    @property
    def width(self) -> int:
        """Pixels, of the upright picture."""
        return int(self._frame.height if self._turns % 2 else self._frame.width)

    @property
    def height(self) -> int:
        """Pixels, of the upright picture."""
        return int(self._frame.width if self._turns % 2 else self._frame.height)

    @property
    def time(self) -> float | None:
        """Seconds from the file's zero; None where the file does not say."""
        return None if self._frame.time is None else float(self._frame.time)

    def image(self) -> Image:
        """The whole picture, (height, width, 3) uint8 RGB, an array of its own.

        Raises:
            ClipError: its pixel format cannot be converted.
        """
        return self._upright(self._convert.full)

    def reduced(self, longer_side: int) -> Image:
        """The picture with its longer side at most `longer_side` pixels, never enlarged.

        Averaged over the pixels that become one, straight from the decoded frame: the whole
        picture is never made RGB.

        Raises:
            UsageError: `longer_side` is below 1.
            ClipError: its pixel format cannot be converted.
        """
        if longer_side < 1:
            raise UsageError(f"longer_side is {longer_side}; give at least 1 pixel")
        stored = self._frame.width, self._frame.height
        if max(stored) <= longer_side:
            return self.image()
        ratio = longer_side / max(stored)
        width, height = (max(1, round(side * ratio)) for side in stored)
        return self._upright(
            self._convert.reducing, width=width, height=height, interpolation=Interpolation.AREA
        )

    def _upright(self, converter: VideoReformatter, **size: Any) -> Image:
        try:
            made = converter.reformat(self._frame, format="rgb24", threads=1, **size)
            image = made.to_ndarray()
        except (av.error.FFmpegError, ValueError) as error:
            raise ClipError(Reason.UNDECODABLE, self._name) from error
        return np.ascontiguousarray(np.rot90(image, self._turns))


class Converters(NamedTuple):
    """Kept for a whole clip: setting one up costs more than converting a frame with it."""

    full: VideoReformatter
    reducing: VideoReformatter
