"""A clip's frames, one after the other: the subject's face in each, and the backbone's row of it.

A thread decodes ahead, this one finds the face and cuts it out, the backbone's engine works on the
crops before.  Unlike `common.video.extract` this hands each row out as soon as it is there, and
shows the frames on their way, so that a clip can be answered for while it is being recorded.
Memory is bounded in the same way: a long clip is thinned to every second, fourth, ... frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from client.recognition.quality import Glance, glance, relative_box
from client.vault.records import Floats
from common.backbones.engines.base import Pending
from common.backbones.labelled import LabelledBackbone
from common.video import Image
from common.video.crop import align_face
from common.video.decode import pictures
from common.video.extract import MOST_FRAMES, FrameGrid
from common.video.faces import Face
from common.video.picture import Picture
from common.video.prefetch import prefetched
from common.video.subject import SubjectChooser
from common.video.tracking import FaceFinder, Follower, TrackedFace

AHEAD: Final = 6
"""Decoded frames that may wait."""
IN_FLIGHT: Final = 2
"""Crops that may be with the backbone; none until the first row is there, which is waited for."""
USUAL_RATE: Final = 25.0
"""Frames a second of a file that has no times."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """The subject's face in one frame, before the backbone has seen it."""

    index: int
    seconds: float
    track: int
    frame: Image
    face: Face
    crop: Image
    glance: Glance


@dataclass(frozen=True, eq=False)
class Row:
    """What is left of a sight: all but the pictures.

    Attributes:
        index: number of the frame in the clip.
        seconds: from the clip's start.
        track: of the face.
        area: of the face, square pixels.
        box: left, top, right, bottom, each 0..1 of the frame.
        glance: what was measured of the face.
        values: the backbone's row, see `common.backbones.labelled`.
    """

    index: int
    seconds: float
    track: int
    area: float
    box: Box
    glance: Glance
    values: Floats


@dataclass(frozen=True, eq=False)
class _Frame:
    index: int
    seconds: float
    image: Image


class Sights:
    """One clip on its way through finder and backbone.

    Attributes:
        rows: of the frames seen so far that show a face.
    """

    def __init__(
        self, finder: FaceFinder, backbone: LabelledBackbone, *, most_frames: int = MOST_FRAMES
    ) -> None:
        self._follower: Follower = finder.follow()
        self._backbone = backbone
        self._chooser = SubjectChooser()
        self._grid = FrameGrid(1)
        self._most_frames = most_frames
        self._looked_at = -1
        self.rows: list[Row] = []

    @property
    def frames(self) -> int:
        """How many frames were looked at, thinned ones left out."""
        return len(range(0, self._looked_at + 1, self._grid.step))

    def kept_tracks(self) -> frozenset[int]:
        """Tracks of the subject so far, as `common.video.subject` tells without knowing faces."""
        return self._chooser.kept_tracks()

    def through(
        self, source: Path | BinaryIO, name: str, on_sight: Callable[[Sight], None]
    ) -> Generator[Row]:
        """Go through the clip; each row is in `rows` when it is handed out.

        Args:
            source: file or stream, see `common.video.source`.
            name: for sentences about it.
            on_sight: sees each sight in order, while the backbone is at work on it.

        Raises:
            ClipError: the clip is unusable.
        """
        under_way: deque[tuple[Sight, Pending]] = deque()
        with prefetched(self._images(source, name), AHEAD) as images:
            for frame in images:
                sight = self._sight(frame)
                if sight is not None:
                    under_way.append((sight, self._backbone.submit(sight.crop[None])))
                    on_sight(sight)
                while len(under_way) > (IN_FLIGHT if self.rows else 0):
                    yield from self._finished(*under_way.popleft())
            while under_way:
                yield from self._finished(*under_way.popleft())

    def _images(self, source: Path | BinaryIO, name: str) -> Iterator[_Frame]:
        """Runs in a thread of its own; after a thinning some frames too many are on their way."""
        start: float | None = None
        for picture in pictures(source, name=name):
            if not self._grid.takes(picture.index):
                continue
            seconds = _seconds(picture)
            start = seconds if start is None else start
            yield _Frame(picture.index, max(0.0, seconds - start), picture.image())

    def _sight(self, frame: _Frame) -> Sight | None:
        if not self._grid.takes(frame.index):
            return None
        self._looked_at = frame.index
        (faces,) = self._follower.faces([frame.image])
        chosen = self._chooser.choose(frame.image, faces)
        return None if chosen is None else self._cut(frame, chosen, [each.face for each in faces])

    def _cut(self, frame: _Frame, chosen: TrackedFace, faces: list[Face]) -> Sight:
        record, face = self._backbone.record, chosen.face
        crop = align_face(frame.image, face, record.input_size, margin=record.margin)
        return Sight(
            index=frame.index,
            seconds=frame.seconds,
            track=chosen.track,
            frame=frame.image,
            face=face,
            crop=crop,
            glance=glance(face, crop, faces),
        )

    def _finished(self, sight: Sight, pending: Pending) -> Iterator[Row]:
        """Its row; none where the clip was thinned while the backbone was at work on it."""
        if not self._grid.takes(sight.index):
            return
        height, width = sight.frame.shape[:2]
        box = sight.face.box
        row = Row(
            index=sight.index,
            seconds=sight.seconds,
            track=sight.track,
            area=box.area,
            box=relative_box(box, width, height),
            glance=sight.glance,
            values=np.array(pending.result()[0]),
        )
        self.rows.append(row)
        while len(self.rows) > self._most_frames:
            self._grid.thin()
            self.rows = [each for each in self.rows if self._grid.takes(each.index)]
        yield row


def _seconds(picture: Picture) -> float:
    return picture.index / USUAL_RATE if picture.time is None else picture.time
