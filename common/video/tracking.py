"""Faces followed through a clip: found now and then, placed anew in every frame.

A full search costs as much as a large backbone.  Between searches each known face is only placed
anew: O-Net, the cascade's last network, looks at where the face was one frame before and answers
with a probability, a box and five landmarks.  A search follows every `search_every` frames, and at
once where a face is in doubt: O-Net is unsure, the box jumped or the landmarks make no face.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from common.video import Image
from common.video.faces import Box, Detector, Face, Landmarks


class TrackedFace(NamedTuple):
    """A face and the number of its track, which stays the same while the face is followed."""

    face: Face
    track: int


class Follower(Protocol):
    """Follows the faces of one clip, whose frames are given in order, some at a time."""

    def faces(self, frames: Sequence[Image]) -> list[list[TrackedFace]]:
        """The faces in each of the clip's next frames."""
        ...


class FaceFinder(Protocol):
    """Starts a follower per clip."""

    def follow(self) -> Follower:
        """A follower for a new clip."""
        ...


class FacePlacer(Detector, Protocol):
    """A detector that can also place known faces anew."""

    def place(self, frame: Image, faces: Sequence[Face]) -> list[Face]:
        """Each face as it is now, given where it was; same number and order, none left out."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrackingSettings:
    """When a face is searched for, and when two faces are the same.

    Attributes:
        search_every: frames between searches, at least 1 (1 searches in every frame).
        sure: O-Net's probability below which a face is in doubt; above the detector's own
            threshold, since a tracker that holds on to a wall never looks for the face.
        least_overlap: intersection over union of a box with that of the frame before, below which
            it jumped; also what links a found face to a track.
        remembered: frames for which a lost track can be found again.
    """

    search_every: int = 12
    sure: float = 0.9
    least_overlap: float = 0.4
    remembered: int = 12

    def __post_init__(self) -> None:
        if self.search_every < 1 or self.remembered < 0:
            raise ValueError("search_every must be at least 1 and remembered at least 0")
        if not (0 <= self.sure <= 1 and 0 < self.least_overlap < 1):
            raise ValueError("sure and least_overlap must lie between 0 and 1")


DEFAULT_TRACKING: Final = TrackingSettings()


class Tracker:
    """`FaceFinder` that searches now and then and places faces in between."""

    def __init__(self, placer: FacePlacer, settings: TrackingSettings = DEFAULT_TRACKING) -> None:
        self._placer, self._settings = placer, settings

    def follow(self) -> Follower:
        """A follower for a new clip."""
        return _TrackingFollower(self._placer, self._settings)


class EveryFrame:
    """`FaceFinder` that searches in every frame: slower, and the tracker's oracle."""

    def __init__(self, detector: Detector, settings: TrackingSettings = DEFAULT_TRACKING) -> None:
        self._detector, self._settings = detector, settings

    def follow(self) -> Follower:
        """A follower for a new clip."""
        return _LinkingFollower(self._detector, self._settings)


@dataclass
class _Linker:
    """Gives found faces the numbers of the tracks that they continue."""

    settings: TrackingSettings
    last: dict[int, tuple[Box, int]] = field(default_factory=dict)
    frame: int = 0
    started: int = 0

    def link(self, faces: Sequence[Face]) -> list[TrackedFace]:
        """Each track to one face, the others start tracks of their own.

        Tracks of the frame before come first, then those lost for longer; best overlap first.
        """
        self._begin()
        numbers: dict[int, int] = {}
        for index, track in self._candidates(faces):
            if index not in numbers and track not in numbers.values():
                numbers[index] = track
        return self._noted(
            TrackedFace(face, numbers[i] if i in numbers else self._start())
            for i, face in enumerate(faces)
        )

    def go_on(self, before: Sequence[TrackedFace], faces: Sequence[Face]) -> list[TrackedFace]:
        """Faces placed anew keep their numbers, whatever other track was seen there last."""
        self._begin()
        pairs = zip(faces, before, strict=True)
        return self._noted(TrackedFace(face, tracked.track) for face, tracked in pairs)

    def _begin(self) -> None:
        self.frame += 1
        oldest = self.frame - 1 - self.settings.remembered
        self.last = {track: seen for track, seen in self.last.items() if seen[1] >= oldest}

    def _noted(self, faces: Iterable[TrackedFace]) -> list[TrackedFace]:
        linked = list(faces)
        self.last.update((track, (face.box, self.frame)) for face, track in linked)
        return linked

    def _candidates(self, faces: Sequence[Face]) -> list[tuple[int, int]]:
        """(face, track) that may belong together, the best first."""
        pairs = [
            (self.frame - seen, -intersection_over_union(face.box, box), index, track)
            for index, face in enumerate(faces)
            for track, (box, seen) in self.last.items()
        ]
        near = [pair for pair in pairs if -pair[1] >= self.settings.least_overlap]
        return [(index, track) for _, _, index, track in sorted(near)]

    def _start(self) -> int:
        self.started += 1
        return self.started - 1


class _LinkingFollower:
    def __init__(self, detector: Detector, settings: TrackingSettings) -> None:
        self._detector, self._linker = detector, _Linker(settings)

    def faces(self, frames: Sequence[Image]) -> list[list[TrackedFace]]:
        """Faces found in each frame, linked."""
        return [self._linker.link(found) for found in self._detector.detect(frames)]


class _TrackingFollower:
    def __init__(self, placer: FacePlacer, settings: TrackingSettings) -> None:
        self._placer, self._settings = placer, settings
        self._linker = _Linker(settings)
        self._now: list[TrackedFace] = []
        self._since_search = 0
        self._shape: tuple[int, ...] = ()

    def faces(self, frames: Sequence[Image]) -> list[list[TrackedFace]]:
        """Faces in each frame, placed or found."""
        return [self._next(frame) for frame in frames]

    def _next(self, frame: Image) -> list[TrackedFace]:
        placed = self._placed(frame)
        if placed is None:
            self._now = self._linker.link(self._placer.detect([frame])[0])
            self._since_search = 0
        else:
            self._now = self._linker.go_on(self._now, placed)
        self._shape = frame.shape
        return self._now

    def _placed(self, frame: Image) -> list[Face] | None:
        """The known faces in this frame; None where a search is due."""
        self._since_search += 1
        due = self._since_search >= self._settings.search_every or frame.shape != self._shape
        if due or not self._now:
            return None
        before = [tracked.face for tracked in self._now]
        now = self._placer.place(frame, before)
        if any(self._in_doubt(*pair) for pair in zip(before, now, strict=True)):
            return None
        return None if _collided(now, self._settings.least_overlap) else now

    def _in_doubt(self, before: Face, now: Face) -> bool:
        return (
            now.probability < self._settings.sure
            or intersection_over_union(before.box, now.box) < self._settings.least_overlap
            or not plausible(now.landmarks, now.box)
        )


def _collided(faces: Sequence[Face], overlap: float) -> bool:
    """Whether two tracks have ended on the same face."""
    return any(
        intersection_over_union(one.box, other.box) > overlap
        for i, one in enumerate(faces)
        for other in faces[:i]
    )


def plausible(landmarks: Landmarks, box: Box) -> bool:
    """Whether landmarks can be a face's: all in the box, and the mouth below the eyes.

    "Below" is meant along the face's own axis, at right angles to the line through the eyes, so a
    tilted head passes.  The box counts a quarter of its side wider, as a turned face's does.
    """
    slack_x, slack_y = (box.right - box.left) / 4, (box.bottom - box.top) / 4
    inside = all(
        box.left - slack_x <= point.x <= box.right + slack_x
        and box.top - slack_y <= point.y <= box.bottom + slack_y
        for point in landmarks
    )
    left, right = landmarks.left_eye, landmarks.right_eye
    across = right.x - left.x, right.y - left.y
    mouth = (
        (landmarks.left_mouth.x + landmarks.right_mouth.x - left.x - right.x) / 2,
        (landmarks.left_mouth.y + landmarks.right_mouth.y - left.y - right.y) / 2,
    )
    return inside and across[0] * mouth[1] - across[1] * mouth[0] > 0


def intersection_over_union(one: Box, other: Box) -> float:
    """Shared area over joint area, 0..1; 0 where neither box has an area.

    >>> round(intersection_over_union(Box(0, 0, 2, 1), Box(1, 0, 3, 1)), 3)
    0.333
    """
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0.0, width) * max(0.0, height)
    whole = one.area + other.area - shared
    return shared / whole if whole > 0 else 0.0
