"""Embeddings of the subject's face, a few per clip, and whose tracks belong together.

An embedding costs as much as ten frames of everything else, so the frames between two of them
grow: the first frames soon say who it is, later ones confirm it over the whole clip.  Each track
gets its own, since a face that went away need not be the one that comes back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from client.recognition.likeness import clip_distance, published_threshold
from client.recognition.quality import TURNED
from client.recognition.sights import Sight
from common.identity.network import Embeddings, FramedFace, IdentityNetwork
from common.identity.records import IdentityRecord

WAITS: Final = 8
"""Frames that an embedding which is due waits for a face that is not turned away."""
SHORTEST: Final = 8
"""Frames from which on a track counts as a person's turn; the finder errs for shorter."""


@dataclass(frozen=True)
class Pace:
    """How often a face is embedded.

    Attributes:
        gap: frames with the face between the first two embeddings.
        growth: factor from one gap to the next, at least 1.
        most: embeddings per clip.
        least: embeddings that a clip has at its end where it has that many frames `gap / 2` apart.
    """

    gap: float = 10.0
    growth: float = 2.0
    most: int = 12
    least: int = 3


RECOGNISING: Final = Pace()
"""4 embeddings in 4 seconds."""
ENROLLING: Final = Pace(gap=10.0, growth=1.15, most=16, least=6)
"""8 in 4 seconds, 16 in 16 seconds."""


class Subject(NamedTuple):
    """The tracks of the person whom the clip is about, that face's embeddings, and all persons."""

    tracks: frozenset[int]
    embeddings: Embeddings
    persons: int


@dataclass
class FaceWatch:
    """Takes a clip's embeddings; `taken` holds (n, dimension) by track."""

    network: IdentityNetwork
    pace: Pace = RECOGNISING
    taken: dict[int, Embeddings] = field(default_factory=dict)
    _gap: float = 0.0
    _since: int = 0
    _waited: int = 0
    _last: Sight | None = None

    def look(self, sight: Sight) -> None:
        """Embed the face if it is time for that; sights come in order."""
        self._since += 1
        self._last = sight
        if self.count >= self.pace.most:
            return
        is_due = sight.track not in self.taken or self._since >= self._gap
        if not is_due or self._better_wait(sight):
            return
        self._gap = self._gap * self.pace.growth if self._gap else self.pace.gap
        self._take(sight)

    def finish(self) -> None:
        """One more at the clip's end where there are few."""
        is_new = self._since >= self.pace.gap / 2
        if self._last is not None and is_new and self.count < self.pace.least:
            self._take(self._last)

    @property
    def count(self) -> int:
        """Embeddings that were taken."""
        return sum(len(each) for each in self.taken.values())

    def _better_wait(self, sight: Sight) -> bool:
        is_turned = sight.glance.turn > TURNED
        if not self.taken or not is_turned or self._waited >= WAITS:
            return False
        self._waited += 1
        return True

    def _take(self, sight: Sight) -> None:
        found = self.network.embed([FramedFace(sight.frame, sight.face)])
        before = self.taken.get(sight.track)
        self.taken[sight.track] = found if before is None else np.concatenate([before, found])
        self._since = self._waited = 0


def subject(
    record: IdentityRecord,
    taken: Mapping[int, Embeddings],
    areas: Mapping[int, Sequence[float]],
    kept: Collection[int],
) -> Subject:
    """The person who fills most of a clip.

    Tracks come together, the largest first, where their embeddings are as near as one person's.

    Args:
        record: of the identity network.
        taken: embeddings by track.
        areas: of the face in each frame of a track, by track.
        kept: the tracks that may be the subject's, see `common.video.subject`; at least one of
            them has embeddings, else all that have are taken.
    """
    candidates = [track for track in taken if track in kept] or list(taken)
    size = {track: sum(areas.get(track, ())) for track in candidates}
    people: list[list[int]] = []
    for track in sorted(candidates, key=lambda track: (-size[track], track)):
        near = next((one for one in people if _belongs(record, taken, track, one)), None)
        if near is None:
            people.append([track])
        else:
            near.append(track)
    main = max(people, key=lambda tracks: sum(size[track] for track in tracks))
    lengths = [sum(len(areas.get(track, ())) for track in tracks) for tracks in people]
    persons = max(1, sum(length >= SHORTEST for length in lengths))
    return Subject(frozenset(main), _all(taken, main), persons)


def _belongs(
    record: IdentityRecord, taken: Mapping[int, Embeddings], track: int, person: Sequence[int]
) -> bool:
    distance = clip_distance(record, taken[track], _all(taken, person))
    return distance < published_threshold(record)


def _all(taken: Mapping[int, Embeddings], tracks: Sequence[int]) -> Embeddings:
    return np.concatenate([taken[track] for track in sorted(tracks)])
