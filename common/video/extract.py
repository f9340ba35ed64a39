"""Clip features: every usable frame of a clip through face finder, crop and backbone.

A thread decodes ahead, this one finds the subject's face and cuts it out, and the backbone's engine
works on the crops before: three stages of a pipeline with a bounded number of frames between them.
Memory is bounded by the batch and the frame size, not by the clip: a clip of more than
`MOST_FRAMES` frames is thinned, evenly over its whole length, to every second, fourth, ... frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from common.backbones.engines.base import Pending
from common.backbones.registry import Backbone, feature_spec
from common.video import Image
from common.video.crop import align_face
from common.video.decode import ClipError, Reason, batches, check_range, pictures
from common.video.picture import Picture
from common.video.prefetch import prefetched
from common.video.subject import SubjectChooser, Wanted
from common.video.tracking import FaceFinder

BATCH: Final = 8
"""Frames that go through finder and backbone together."""
MOST_FRAMES: Final = 2048
"""Frames that a clip's features are made of at most: 80 seconds at 25 frames a second."""
_IN_FLIGHT: Final = 2

Features = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """The frame features of one clip.

    Attributes:
        features: (with_face, dimension) float32, in the frames' order, at least one row.
        decoded: frames that were looked at.
        with_face: frames with the subject's face; the others have no row.
        several_faces: frames with a row that show more than one face.
        spec: what made the features, see `feature_spec`.
    """

    features: Features
    decoded: int
    with_face: int
    several_faces: int
    spec: str

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.features.dtype != np.float32:
            raise ValueError("features are not a (frames, dimension) float32 array")
        if not len(self.features) == self.with_face <= self.decoded:
            raise ValueError("the frame counts do not fit the features")
        if not 0 <= self.several_faces <= self.with_face or self.with_face < 1:
            raise ValueError("the face counts do not fit the features")


def extract(
    path: Path,
    backbone: Backbone,
    finder: FaceFinder,
    *,
    every: int = 1,
    max_frames: int | None = None,
    batch: int = BATCH,
    wanted: Wanted | None = None,
) -> ClipFeatures:
    """Features of the subject's face in each frame of a clip, see `common.video.subject`.

    Args:
        path: the video file.
        backbone: makes the frame features.
        finder: finds and follows the faces.
        every: take every k-th frame, k at least 1; more where the clip has to be thinned.
        max_frames: look at no more than so many frames.
        batch: frames that are processed together, at least 1.
        wanted: tells the wanted user's face from others'; None takes the largest face.

    Raises:
        UsageError: `every` or `max_frames` is below 1.
        ClipError: the file is unusable, or no frame shows the subject's face.
    """
    check_range(every, max_frames)
    grid = FrameGrid(every)
    walk = Walk(path, backbone, finder, batch=batch, wanted=wanted)
    rows = walk.through(grid, max_frames=max_frames)
    return clip_features(path, rows, grid.looked_at(), feature_spec(backbone.record))


class Row(NamedTuple):
    """A frame's feature: the frame's number in the file, its track, several faces or one."""

    frame: int
    track: int
    several: bool
    feature: Features


@dataclass
class FrameGrid:
    """Which frames are taken: offset, offset + step, ...

    Attributes:
        step: at least 1; doubled by `thin`.
        offset: 0..step-1.
        decoded: frames that the decoder gave, taken or not.
    """

    step: int
    offset: int = 0
    decoded: int = 0

    def takes(self, index: int) -> bool:
        """Whether the frame of this number is taken."""
        return index % self.step == self.offset

    def thin(self) -> None:
        """Take every second one only of those taken until now."""
        self.step *= 2

    def looked_at(self) -> int:
        """How many of the decoded frames are taken."""
        return len(range(self.offset, self.decoded, self.step))


@dataclass(frozen=True, kw_only=True)
class _Sight:
    """What a frame gives before the backbone has seen it."""

    index: int
    track: int
    several: bool
    crop: Image


class Walk:
    """Goes through a clip's frames; several times if asked, each with a grid of its own."""

    def __init__(
        self,
        path: Path,
        backbone: Backbone,
        finder: FaceFinder,
        *,
        batch: int = BATCH,
        wanted: Wanted | None = None,
        most_frames: int = MOST_FRAMES,
        source: Callable[[], Iterator[Picture]] | None = None,
    ) -> None:
        """`source` gives the clip's frames in place of decoding `path` again."""
        if most_frames < 1:
            raise ValueError(f"most_frames is {most_frames}, expected at least 1")
        self._path, self._backbone, self._finder = path, backbone, finder
        self._batch, self._wanted, self._most_frames = batch, wanted, most_frames
        self._source = source or (lambda: pictures(path))

    def through(self, grid: FrameGrid, *, max_frames: int | None = None) -> list[Row]:
        """Rows of the grid's frames, in order; the grid is thinned where there are too many.

        Raises:
            UsageError: the grid's step or `max_frames` is below 1.
            ClipError: the file is unusable.
        """
        check_range(grid.step, max_frames)
        chooser = SubjectChooser(self._wanted)
        stop = None if max_frames is None else grid.offset + grid.step * (max_frames - 1) + 1
        with prefetched(self._images(grid, stop), 2 * self._batch) as images:
            rows = self._rows(images, grid, chooser)
        kept = chooser.kept_tracks()
        return [row for row in rows if row.track in kept]

    def _images(self, grid: FrameGrid, stop: int | None) -> Iterator[tuple[int, Image]]:
        """The grid's frames; since they are made ahead, some more while it is being thinned."""
        for picture in islice(self._source(), stop):
            grid.decoded = picture.index + 1
            if grid.takes(picture.index):
                yield picture.index, picture.image()

    def _rows(
        self, images: Iterator[tuple[int, Image]], grid: FrameGrid, chooser: SubjectChooser
    ) -> list[Row]:
        rows: list[Row] = []
        for row in self._through_backbone(self._sights(images, grid, chooser)):
            if grid.takes(row.frame):  # those under way while it was thinned may not be
                rows.append(row)
            while len(rows) > self._most_frames:
                grid.thin()
                rows = [row for row in rows if grid.takes(row.frame)]
        return rows

    def _sights(
        self, images: Iterator[tuple[int, Image]], grid: FrameGrid, chooser: SubjectChooser
    ) -> Iterator[list[_Sight]]:
        follower = self._finder.follow()
        record = self._backbone.record
        for numbered in batches((pair for pair in images if grid.takes(pair[0])), self._batch):
            found = follower.faces([image for _, image in numbered])
            sights = []
            for (index, image), faces in zip(numbered, found, strict=True):
                chosen = chooser.choose(image, faces)
                if chosen is not None:
                    crop = align_face(image, chosen.face, record.input_size, margin=record.margin)
                    several = len(faces) > 1
                    sights.append(
                        _Sight(index=index, track=chosen.track, several=several, crop=crop)
                    )
            if sights:
                yield sights

    def _through_backbone(self, batches: Iterator[list[_Sight]]) -> Iterator[Row]:
        """Rows in the order of the sights, the backbone at work on some while others are cut."""
        under_way: deque[tuple[list[_Sight], Pending]] = deque()
        for sights in batches:
            crops = np.stack([sight.crop for sight in sights])
            under_way.append((sights, self._backbone.submit(crops)))
            if len(under_way) > _IN_FLIGHT:
                yield from _finished(*under_way.popleft())
        while under_way:
            yield from _finished(*under_way.popleft())


def clip_features(path: Path, rows: Sequence[Row], looked_at: int, spec: str) -> ClipFeatures:
    """Rows, in order, as a clip's features.

    Raises:
        ClipError: there is none.
    """
    if not rows:
        raise ClipError(Reason.NO_FACE, path)
    features = np.stack([row.feature for row in rows])
    several = sum(row.several for row in rows)
    return ClipFeatures(features, looked_at, len(rows), several, spec)


def _finished(sights: list[_Sight], pending: Pending) -> Iterator[Row]:
    for sight, feature in zip(sights, pending.result(), strict=True):
        # A copy: a row must not keep the features of its whole batch alive.
        yield Row(sight.index, sight.track, sight.several, np.array(feature))
