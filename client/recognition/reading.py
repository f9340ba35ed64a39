"""From a clip's rows to what the device says, at its end and on the way there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from client.recognition.answer import UNKNOWN, Answer, Moment
from client.recognition.likeness import Match
from client.recognition.quality import quality_warnings
from client.recognition.readers import Reader
from client.recognition.sights import Row
from client.vault.records import ClipArrays, Floats
from common.backbones.labelled import LabelledBackbone
from common.errors import WorkError
from common.expressions import EXPRESSIONS

SPACING: Final = 0.25
"""Seconds from one moment to the next."""
MOST_MOMENTS: Final = 64


@dataclass
class Schedule:
    """When a partial answer is due; ever less often, so that a long clip has a bounded number."""

    spacing: float = SPACING
    given: list[float] = field(default_factory=list)

    def due(self, seconds: float) -> bool:
        """Whether an answer is due at this time of the clip, which counts as given then."""
        if self.given and seconds < self.given[-1] + self.spacing:
            return False
        if len(self.given) == MOST_MOMENTS:
            self.given = self.given[::2]
            self.spacing *= 2
        self.given.append(seconds)
        return True


def moment_counts(seconds: Sequence[float]) -> list[int]:
    """Of how many first rows each moment is made; the first has one, the last all.

    Args:
        seconds: of the rows, at least one, increasing.
    """
    spacing = max(SPACING, (seconds[-1] - seconds[0]) / (MOST_MOMENTS - 2))
    counts: list[int] = []
    due = seconds[0]
    for count, time in enumerate(seconds, start=1):
        if time >= due or count == len(seconds):
            counts.append(count)
            due = time + spacing
    return counts


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What turns some rows into an answer.

    Attributes:
        name: of the clip.
        backbone: made the rows.
        names: of users, by id.
    """

    name: str
    backbone: LabelledBackbone
    names: Mapping[str, str]

    def arrays(self, rows: Sequence[Row]) -> ClipArrays:
        """What is worth keeping of rows, at least one."""
        values = _stack(rows)
        return ClipArrays(features=self.backbone.features(values), own=self.backbone.own(values))

    def moment(self, rows: Sequence[Row], reader: Reader) -> Moment:
        """The answer that these rows give, at the time and place of the last one.

        Raises:
            WorkError: the reader cannot read them, or gives what is no answer.
        """
        values = _stack(rows)
        found = reader.logits(self.backbone.features(values), self.backbone.own(values))
        last = rows[-1]
        return Moment(seconds=last.seconds, probabilities=_probabilities(found), box=last.box)

    def moments(self, rows: Sequence[Row], reader: Reader) -> tuple[Moment, ...]:
        """The answer over time, by one reader."""
        counts = moment_counts([row.seconds for row in rows])
        return tuple(self.moment(rows[:count], reader) for count in counts)

    def answer(
        self,
        rows: Sequence[Row],
        moments: tuple[Moment, ...],
        reader: Reader,
        match: Match,
        *,
        frames: int,
        persons: int,
        seconds: float,
        final: bool,
    ) -> Answer:
        """The answer of the last of the moments.

        Args:
            rows: of the subject.
            moments: at least one.
            reader: made them.
            match: who it is.
            frames: that were looked at.
            persons: who took turns as the subject.
            seconds: since the clip was opened.
            final: whether it was seen to its end.
        """
        probabilities = moments[-1].probabilities
        glances = [row.glance for row in rows]
        # "Few frames" is no fault of a clip that is still going on.
        told = quality_warnings(glances, frames=frames, persons=persons) if final else ()
        return Answer(
            name=self.name,
            user=UNKNOWN if match.user is None else self.names.get(match.user, match.user),
            likeness=match.likeness,
            expression=EXPRESSIONS[int(np.argmax(probabilities))],
            probabilities=probabilities,
            head=reader.kind,
            reason=reader.reason,
            warnings=told,
            frames=frames,
            with_face=len(rows),
            moments=moments,
            seconds=seconds,
            final=final,
        )


def _stack(rows: Sequence[Row]) -> Floats:
    return np.stack([row.values for row in rows])


def _probabilities(logits: Floats) -> tuple[float, ...]:
    given = np.asarray(logits, dtype=np.float64)
    if given.shape != (len(EXPRESSIONS),) or not np.isfinite(given).all():
        raise WorkError(
            f"the head answers with {given.shape} numbers that are not all finite, expected "
            f"{len(EXPRESSIONS)} logits; drop it with `mien device head --none`"
        )
    exact = np.exp(given - given.max())
    return tuple((exact / exact.sum()).tolist())
