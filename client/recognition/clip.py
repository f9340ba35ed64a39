"""One clip that is being recognised: what is known of it so far, and what it comes to."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from client.recognition.answer import Answer, Moment
from client.recognition.likeness import Match, match
from client.recognition.quality import Glance
from client.recognition.readers import Reader, Readers
from client.recognition.reading import MOST_MOMENTS, Reading, Schedule
from client.recognition.sights import Row, Sights
from client.recognition.watch import RECOGNISING, FaceWatch, Pace, Subject, subject
from client.vault.records import GalleryEntry
from common.backbones.labelled import LabelledBackbone
from common.identity.network import IdentityNetwork
from common.identity.records import IdentityRecord
from common.video.decode import ClipError, Reason
from common.video.tracking import FaceFinder


class Tools(NamedTuple):
    """What a recogniser works with, loaded."""

    finder: FaceFinder
    backbone: LabelledBackbone
    identity: IdentityNetwork


class Watched:
    """A clip whose frames go by; its subject is told by the face."""

    def __init__(self, tools: Tools, name: str, pace: Pace = RECOGNISING) -> None:
        self._name = name
        self._sights = Sights(tools.finder, tools.backbone)
        self._watch = FaceWatch(tools.identity, pace)

    def through(self, source: Path | BinaryIO) -> Generator[Row]:
        """Each frame's row as soon as it is there.

        Raises:
            ClipError: the clip is unusable, or shows no face.
        """
        yield from self._sights.through(source, self._name, self._watch.look)
        if not self._sights.rows:
            raise ClipError(Reason.NO_FACE, self._name)
        self._watch.finish()

    @property
    def record(self) -> IdentityRecord:
        """Of the identity network."""
        return self._watch.network.record

    @property
    def frames(self) -> int:
        """That were looked at."""
        return self._sights.frames

    @property
    def glances(self) -> list[Glance]:
        """At the largest face of each frame that shows one, whoever it is."""
        return [row.glance for row in self._sights.rows]

    def subject(self) -> tuple[Subject, list[Row]]:
        """Whom the clip is about, so far, and that person's rows; at least one row is there."""
        rows = self._sights.rows
        areas: dict[int, list[float]] = {}
        for row in rows:
            areas.setdefault(row.track, []).append(row.area)
        taken = self._watch.taken
        found = subject(self.record, taken, areas, self._sights.kept_tracks())
        own = [row for row in rows if row.track in found.tracks]
        # The newest track may have an embedding and no row yet.
        return found, own or rows


class Answers:
    """What a watched clip is answered with, on its way and at its end."""

    def __init__(
        self,
        watched: Watched,
        reading: Reading,
        gallery: Sequence[GalleryEntry],
        readers: Readers,
    ) -> None:
        self._watched, self._reading = watched, reading
        self._gallery, self._readers = gallery, readers
        self._begun = time.perf_counter()
        self._schedule = Schedule()
        self._moments: list[Moment] = []
        self._known: dict[str | None, Reader] = {}

    def is_due(self, row: Row) -> bool:
        """Whether it is time for a partial answer; a time is due once."""
        return self._schedule.due(row.seconds)

    def so_far(self) -> Answer:
        """The partial answer; moments that were given stay as they were."""
        who, rows = self._watched.subject()
        found = self.match(who)
        reader = self._reader(found.user)
        moment = self._reading.moment(rows, reader)
        self._moments = [*self._moments, moment][-MOST_MOMENTS:]
        return self._answer(rows, tuple(self._moments), reader, found, who, final=False)

    def final(self) -> tuple[Answer, Match, Subject, list[Row]]:
        """The answer, all moments by the head of whom the whole clip shows; and what it is of."""
        who, rows = self._watched.subject()
        found = self.match(who)
        reader = self._reader(found.user)
        moments = self._reading.moments(rows, reader)
        return self._answer(rows, moments, reader, found, who, final=True), found, who, rows

    def match(self, who: Subject) -> Match:
        """Which user that is."""
        return match(self._watched.record, who.embeddings, self._gallery)

    def _reader(self, user: str | None) -> Reader:
        if user not in self._known:
            self._known[user] = self._readers.reader(user)
        return self._known[user]

    def _answer(
        self,
        rows: Sequence[Row],
        moments: tuple[Moment, ...],
        reader: Reader,
        found: Match,
        who: Subject,
        *,
        final: bool,
    ) -> Answer:
        return self._reading.answer(
            rows,
            moments,
            reader,
            found,
            frames=self._watched.frames,
            persons=who.persons,
            seconds=time.perf_counter() - self._begun,
            final=final,
        )
