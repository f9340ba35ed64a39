"""Whose face a clip is about, frame by frame and on the whole.

Features of two persons in one clip would be nobody's.  In each frame the subject is the largest
face, but the one of the frame before stays it while it has at least half the largest one's area;
where a wanted user is given, only faces that are found to be theirs count.  At the end the
main track is the one with the largest area summed over frames, and what was taken of another track
is kept only if the two were never seen in one frame: a face that turned away and came back is the
same person, a face beside the main one is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from common.video import Image
from common.video.faces import Face, largest
from common.video.tracking import TrackedFace

Wanted = Callable[[Image, Face], bool]
"""Whether a face, in a frame, is the wanted user's; asked once per track."""

_STAYS_WITH: Final = 0.5


@dataclass
class SubjectChooser:
    """State of one clip; `wanted` is None where the largest face is meant."""

    wanted: Wanted | None = None
    _current: int | None = None
    _is_wanted: dict[int, bool] = field(default_factory=dict)
    _area: dict[int, float] = field(default_factory=dict)
    _together: set[tuple[int, int]] = field(default_factory=set)

    def choose(self, frame: Image, faces: Sequence[TrackedFace]) -> TrackedFace | None:
        """The subject's face in this frame, or None."""
        self._note_together([tracked.track for tracked in faces])
        candidates = [tracked for tracked in faces if self._counts(frame, tracked)]
        if not candidates:
            return None
        chosen = self._stay_or_change(candidates)
        self._current = chosen.track
        self._area[chosen.track] = self._area.get(chosen.track, 0.0) + chosen.face.box.area
        return chosen

    def kept_tracks(self) -> frozenset[int]:
        """Tracks that show the clip's subject; empty where no face was chosen."""
        if not self._area:
            return frozenset()
        main = max(self._area, key=lambda track: (self._area[track], -track))
        if self.wanted is not None:
            return frozenset(self._area)
        apart = (track for track in self._area if not self._seen_together(track, main))
        return frozenset(apart)

    def _stay_or_change(self, candidates: Sequence[TrackedFace]) -> TrackedFace:
        top = largest([tracked.face for tracked in candidates])
        for tracked in candidates:
            stays = tracked.face.box.area >= _STAYS_WITH * top.box.area
            if tracked.track == self._current and stays:
                return tracked
        return next(tracked for tracked in candidates if tracked.face is top)

    def _counts(self, frame: Image, tracked: TrackedFace) -> bool:
        if self.wanted is None:
            return True
        if tracked.track not in self._is_wanted:
            self._is_wanted[tracked.track] = self.wanted(frame, tracked.face)
        return self._is_wanted[tracked.track]

    def _note_together(self, tracks: Sequence[int]) -> None:
        self._together.update((a, b) for a in tracks for b in tracks if a < b)

    def _seen_together(self, one: int, other: int) -> bool:
        return (min(one, other), max(one, other)) in self._together
