"""Tools for worker processes, which import them by name, and the trees they work on."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.backbones.engines.base import Done
from common.errors import WorkError
from common.video import Image
from common.video.faces import Face
from common.video.tracking import EveryFrame
from simulations.data.features import ToolMaker, Tools, VideoExtractor
from tests.common.video.clips import flat_images, write_video
from tests.common.video.fakes import BoxDetector, MeanBackbone, upright_face

FACE = upright_face(8, 8, 40, 40)


class _Backbone(MeanBackbone):
    """Does at once what engines do behind one's back."""

    provenance = "mini-xception/1/1 by hand"

    def submit(self, crops: npt.NDArray[np.uint8]) -> Done:
        return Done(self.features(crops))

    def close(self) -> None:
        pass


BACKBONE = _Backbone()


def clip_name(index: int, modality: int = 1) -> str:
    """Names that sort like their index."""
    return f"{modality:02d}-01-01-01-01-01-{index:02d}"


def make_tree(root: Path, count: int, images: int = 4) -> Path:
    """`count` clips in folders of their actors; clip i starts at frame number i."""
    for index in range(1, count + 1):
        folder = root / f"Actor_{index:02d}"
        folder.mkdir(parents=True)
        pictures = flat_images(images + index)[index:]
        write_video(folder / f"{clip_name(index)}.mp4", pictures, codec="mpeg4")
    return root


def counted_tools(*_: str) -> Tools:
    """Tools whose backbone counts its calls in `BACKBONE.calls` (of this process)."""
    return Tools(BACKBONE, EveryFrame(BoxDetector(FACE)))


@dataclass(frozen=True)
class CountedVideos(VideoExtractor):
    make_tools: ToolMaker = counted_tools


def blind_in_the_dark(*_: str) -> Tools:
    """Counted tools that see no face in frames that are nearly black."""
    return Tools(BACKBONE, EveryFrame(BoxDetector(FACE, dark=20)))


class _Deadly(BoxDetector):
    """Kills its process at a frame that is nearly white."""

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        if max(frame.mean() for frame in frames) > 240:
            os._exit(3)
        return super().detect(frames)


def deadly_tools(*_: str) -> Tools:
    return Tools(_Backbone(), EveryFrame(_Deadly(FACE)))


def dying_tools(*_: str) -> Tools:
    os._exit(3)


def telling_tools(*asked_for: str) -> Tools:
    raise WorkError(f"asked for {', '.join(asked_for)}")


class _Endless(BoxDetector):
    """Never comes back from a frame that is nearly white."""

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        if max(frame.mean() for frame in frames) > 240:
            time.sleep(1000)
        return super().detect(frames)


def endless_tools(*_: str) -> Tools:
    return Tools(_Backbone(), EveryFrame(_Endless(FACE)))


class _Buggy(BoxDetector):
    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        if 35 < frames[0].mean() < 45:
            raise ZeroDivisionError("by hand")
        return super().detect(frames)


def buggy_tools(*_: str) -> Tools:
    return Tools(_Backbone(), EveryFrame(_Buggy(FACE)))


def square(number: int) -> int:
    return number * number


def square_or_die(number: int) -> int:
    if number % 5 == 4:
        os._exit(1)
    return square(number)


def raise_at_three(number: int) -> int:
    if number == 3:
        raise KeyError("three")
    return square(number)


def sleep_long_at_two(number: int) -> int:
    if number == 2:
        time.sleep(1000)
    return square(number)
