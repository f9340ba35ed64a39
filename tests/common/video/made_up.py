"""Clips without files: a stand-in for the decoder, whose frames tell their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.video import Image
from common.video.decode import ClipError, Reason
from common.video.extract import Features
from common.video.tracking import EveryFrame
from tests.common.video.fakes import BoxDetector, upright_face

PATH = Path("made-up.mp4")
FACE = upright_face(1, 1, 7, 7)
_BLACK = 0


class MadeUpPicture:
    """Flat; its level tells its number, up to 200."""

    width = height = 8

    def __init__(self, index: int, level: int) -> None:
        self.index, self.level = index, level

    def image(self) -> Image:
        return np.full((8, 8, 3), self.level, np.uint8)


class MadeUpClip:
    """Its `pictures` stand in for the decoder's; `faceless` frames are black.

    At the frame `breaks` the file turns out to be damaged.
    """

    def __init__(
        self, count: int, faceless: frozenset[int] = frozenset(), breaks: int | None = None
    ) -> None:
        self.count, self.faceless, self.breaks = count, faceless, breaks

    def pictures(
        self, path: Path, *, max_frames: int | None = None, threads: int = 1
    ) -> Iterator[MadeUpPicture]:
        for index in range(self.count if max_frames is None else min(self.count, max_frames)):
            if index == self.breaks:
                raise ClipError(Reason.TRUNCATED, path)
            yield self.picture(index)

    def picture(self, index: int) -> MadeUpPicture:
        return MadeUpPicture(index, _BLACK if index in self.faceless else level(index))


def level(index: int) -> int:
    return 50 + index % 200


def numbers(features: Features) -> list[int]:
    """Of the frames (modulo 200) that `MeanBackbone` made these features of."""
    assert (features == features[:, :1]).all()
    return [round(value) - 50 for value in features[:, 0].tolist()]


def finder() -> EveryFrame:
    """Finds `FACE` in every frame that is not black."""
    return EveryFrame(BoxDetector(FACE, dark=10))
