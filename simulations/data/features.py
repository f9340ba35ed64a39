"""Clip features of videos: the tools that make them, and those of a whole RAVDESS tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from common.backbones.engines.choice import AUTO
from common.backbones.registry import (
    DEFAULT_BACKBONE,
    Backbone,
    backbone_record,
    feature_spec,
    load,
    made_with,
)
from common.ravdess import ClipName
from common.video.decode import check_range
from common.video.extract import FrameGrid, Walk, clip_features
from common.video.tracking import FaceFinder, Tracker
from simulations.data.cache import StoredClip
from simulations.data.data_set import of_ravdess
from simulations.data.extraction import Progress, Reader, extract_all
from simulations.data.ravdess_tree import RavdessTree
from simulations.data.unusable import LeftOut

DEFAULT_CACHE: Final = Path(".cache/features")


class Tools(NamedTuple):
    """What extraction needs; made once per process."""

    backbone: Backbone
    finder: FaceFinder


@dataclass(frozen=True, eq=False)
class ClipTable:
    """Features of a tree's usable clips.

    Attributes:
        clips: names, sorted.
        features: per clip (its frames with a face, dimension) float32.
        left_out: clips that are not used, by name and reason.
        spec: what made the features, see `feature_spec`.
        extracted: clips extracted now; the others came from the cache.
    """

    clips: tuple[ClipName, ...]
    features: tuple[npt.NDArray[np.float32], ...]
    left_out: tuple[LeftOut, ...]
    spec: str
    extracted: int


ToolMaker = Callable[[str, str, str], Tools]
"""Makes backbone and face finder from the backbone's id, engine and precision."""


def open_tools(backbone: str, engine: str = AUTO, precision: str = AUTO) -> Tools:
    """The backbone of that id, and MTCNN with a tracker; see `common.backbones.registry.load`.

    Raises:
        UsageError: there is no such backbone, engine or precision.
        WorkError: its weights are missing or wrong.
    """
    # Imported here so that a run that finds all in the cache starts without OpenVINO.
    from common.video.mtcnn.detector import FastMtcnn

    return Tools(load(backbone, engine=engine, precision=precision), Tracker(FastMtcnn()))


@dataclass(frozen=True)
class VideoExtractor:
    """`Extractor` of videos.

    Attributes:
        backbone: its id.
        every: take every k-th frame, k at least 1.
        max_frames: look at no more than so many frames of a clip.
        engine: what runs the backbone, see `common.backbones.registry.load`.
        precision: the same.
        make_tools: importable.

    Raises:
        UsageError: there is no such backbone (when `spec` is asked for).
    """

    backbone: str
    every: int = 1
    max_frames: int | None = None
    engine: str = AUTO
    precision: str = AUTO
    make_tools: ToolMaker = open_tools

    @property
    def spec(self) -> str:
        """Of the backbone and its preprocessing."""
        return feature_spec(backbone_record(self.backbone))

    @property
    def made_with(self) -> dict[str, str]:
        """Engine, precision and weights that the backbone would run with here."""
        return made_with(self.backbone, engine=self.engine, precision=self.precision)

    def open(self) -> Reader:
        """Load backbone and face finder."""
        tools = self.make_tools(self.backbone, self.engine, self.precision)
        return partial(_extract, tools, self.every, self.max_frames)


def extract_clips(
    tree: RavdessTree,
    *,
    backbone: str = DEFAULT_BACKBONE,
    cache: Path = DEFAULT_CACHE,
    workers: int = 1,
    every: int = 1,
    max_frames: int | None = None,
    progress: Progress | None = None,
    make_tools: ToolMaker = open_tools,
) -> ClipTable:
    """Clip features of all clips of a tree, see `find_clips` and `extract_all`.

    Args:
        tree: the clips that were found.
        backbone: id of the backbone.
        cache: folder of the cache, made where missing.
        workers: processes, at least 1; with 1 the work is done in this process.
        every: take every k-th frame, k at least 1.
        max_frames: look at no more than so many frames of a clip.
        progress: called after each clip with (clips done, clips in all).
        make_tools: importable where workers > 1.

    Raises:
        UsageError: an argument is out of range.
        WorkError: no clip could be used, or worker processes cannot run.
    """
    extractor = VideoExtractor(backbone, every, max_frames, make_tools=make_tools)
    names = {str(clip.name): clip.name for clip in tree.clips}
    found = extract_all(
        of_ravdess(tree), extractor, cache=cache, workers=workers, progress=progress
    )
    return ClipTable(
        tuple(names[clip.name] for clip, _ in found.done),
        tuple(found.features(done).clip.features for _, done in found.done),
        found.left_out,
        found.spec,
        found.extracted,
    )


def _extract(tools: Tools, every: int, max_frames: int | None, path: Path) -> StoredClip:
    check_range(every, max_frames)
    grid = FrameGrid(every)
    rows = Walk(path, *tools).through(grid, max_frames=max_frames)
    clip = clip_features(path, rows, grid.looked_at(), feature_spec(tools.backbone.record))
    return StoredClip(clip, np.asarray([row.frame for row in rows], dtype=np.int32))
