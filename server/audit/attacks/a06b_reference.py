"""A6b: which of these people does a reference come from?

In round 0 a device tells a coarse centre and spread of each feature over all of its clips, and for
narrow features how they move together. Whoever has some clips of each person computes the same of
them; centres are compared by the cosine, each less the mean over devices and in units of how far
devices differ, and scatters likewise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.heads.specification import REFERENCE_STAGE
from common.heads.universal import clip_rows, scatter_of
from server.audit.attacks.a05_linkability import likeness
from server.audit.attacks.a06_reidentification import FEWEST, GALLERIES
from server.audit.finding import INDIVIDUAL, Attack, Outcome, not_measurable
from server.audit.ranking import MEASURE_PERSON, ranking_outcome
from server.audit.statistics import rank_one
from server.audit.subject import Subject
from server.audit.transcript import Vector

CENTRE, SCATTER = "reference.centre", "reference.scatter"


def run(subject: Subject, view: str) -> Outcome:
    """Rank-1 with 32 clips per person, by centres; by scatters where these were told."""
    del view
    if subject.candidates is None:
        return not_measurable(MEASURE_PERSON, "no clips of known people were given")
    told = _told(subject)
    if not told:
        return not_measurable(
            MEASURE_PERSON, "no device told a reference of its own: it is public, or a secure sum"
        )
    names = [name for name in sorted(told) if len(subject.gallery(name, 1))]
    if len(names) < FEWEST:
        return not_measurable(MEASURE_PERSON, f"it needs {FEWEST} devices whose people are known")
    most = GALLERIES[-1]
    hits = {n: _hits(subject, told, names, n) for n in GALLERIES}
    scatters = _scatters(subject, told, names, most)
    beside = "" if scatters is None else f", {scatters} by how its features move together"
    return ranking_outcome(
        hits[most],
        len(names),
        measure=MEASURE_PERSON,
        meaning=f"From the reference alone, before any training, whoever has {most} clips of each "
        f"person finds out whose device it is for {hits[most]} of {len(names)} devices by its "
        f"centre{beside} ({hits[GALLERIES[0]]} with a single clip each).",
        details={
            "rank_1": {str(size): count / len(names) for size, count in hits.items()},
            "by_scatter": None if scatters is None else scatters / len(names),
        },
    )


def _told(subject: Subject) -> dict[str, dict[str, Vector]]:
    """Finite references by pseudonym, as each device told them."""
    shapes = subject.transcript.final.specification.shapes(REFERENCE_STAGE)
    return {
        reply.pseudonym: dict(reply.arrays)
        for each in subject.transcript.rounds
        if each.stage == REFERENCE_STAGE
        for reply in each.received
        if all(
            reply.arrays.get(name, np.zeros(0)).shape == shape
            and np.isfinite(reply.arrays[name]).all()
            for name, shape in shapes.items()
        )
    }


def _hits(
    subject: Subject, told: dict[str, dict[str, Vector]], names: Sequence[str], size: int
) -> int:
    specification = subject.transcript.final.specification
    sent = np.stack([told[name][CENTRE] for name in names])
    known = [
        clip_rows(specification, subject.known.clips.select(subject.gallery(name, size)))
        for name in names
    ]
    means = np.stack([rows.clip_means.mean(axis=0) for rows in known])
    apart = sent.std(axis=0)
    unit = np.where(apart > 0, apart, np.inf)
    return rank_one(likeness(sent / unit, means / unit))


def _scatters(
    subject: Subject, told: dict[str, dict[str, Vector]], names: Sequence[str], size: int
) -> int | None:
    """Right guesses by scatters; None where none were told."""
    if any(SCATTER not in told[name] for name in names):
        return None
    specification = subject.transcript.final.specification
    known = []
    for name in names:
        clips = subject.known.clips.select(subject.gallery(name, size))
        total = scatter_of(clip_rows(specification, clips), clips.labels)
        known.append((total / len(clips)).ravel())
    sent = np.stack([told[name][SCATTER].ravel() for name in names])
    return rank_one(likeness(sent, np.stack(known)))


ATTACK = Attack(
    id="A6b",
    title="Whose device told this reference?",
    source="own; as A6",
    views=(INDIVIDUAL,),
    run=run,
)
