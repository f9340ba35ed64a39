"""Tools for worker processes, which import them by name, and the trees they work on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from common.video import Image
from common.video.faces import Face
from simulations.data.features import Tools
from tests.common.video.clips import flat_images, write_video
from tests.common.video.fakes import BoxDetector, MeanBackbone, upright_face

FACE = upright_face(8, 8, 40, 40)
BACKBONE = MeanBackbone()


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


def counted_tools(backbone: str) -> Tools:
    """Tools whose backbone counts its calls in `BACKBONE.calls` (of this process)."""
    return Tools(BACKBONE, BoxDetector(FACE))


class _Deadly(BoxDetector):
    """Kills its process at a frame that is nearly white."""

    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        if max(frame.mean() for frame in frames) > 240:
            os._exit(3)
        return super().detect(frames)


def deadly_tools(backbone: str) -> Tools:
    return Tools(MeanBackbone(), _Deadly(FACE))


def dying_tools(backbone: str) -> Tools:
    os._exit(3)


class _Buggy(BoxDetector):
    def detect(self, frames: Sequence[Image]) -> list[list[Face]]:
        if 35 < frames[0].mean() < 45:
            raise ZeroDivisionError("by hand")
        return super().detect(frames)


def buggy_tools(backbone: str) -> Tools:
    return Tools(MeanBackbone(), _Buggy(FACE))


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
