"""A6: which of these people does an update come from?

Whoever has some labelled clips of each person computes what their gradients would be, and how much
of each clip lies in the update's own span. Both scores are freed of their row and column means,
scaled, and added; nothing is tuned on the run. User-level inference after Wang et al. (INFOCOM
2019) and Orekondy et al. (arXiv 1805.05838).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from server.audit.finding import INDIVIDUAL, Attack, Outcome, not_measurable
from server.audit.ranking import MEASURE_PERSON, ranking_outcome
from server.audit.softmax import softmax
from server.audit.statistics import rank_one
from server.audit.subject import Step, Subject
from server.audit.transcript import Vector

GALLERIES = (1, 8, 32)
MOST_ROUNDS = 8
FEWEST = 3
Chosen = npt.NDArray[np.int64]


def run(subject: Subject, view: str) -> Outcome:
    """Rank-1 with 1, 8 and 32 clips per person; the figure is the last's."""
    del view
    if subject.candidates is None:
        return not_measurable(MEASURE_PERSON, "no clips of known people were given")
    names = [n for n in subject.steps if len(subject.gallery(n, 1))]
    if len(names) < FEWEST:
        return not_measurable(MEASURE_PERSON, f"it needs {FEWEST} devices whose people are known")
    hits = {size: rank_one(match(subject, names, size)) for size in GALLERIES}
    most = GALLERIES[-1]
    against = "other clips than" if subject.hard else "clips that were among"
    return ranking_outcome(
        hits[most],
        len(names),
        measure=MEASURE_PERSON,
        meaning=f"Whoever has {most} clips of each person finds out whose device sent an update "
        f"for {hits[most]} of {len(names)} devices ({hits[GALLERIES[0]]} with a single clip each).",
        details={
            "rank_1": {str(size): count / len(names) for size, count in hits.items()},
            "gallery": f"{against} those trained on",
        },
    )


def match(subject: Subject, names: Sequence[str], size: int) -> Vector:
    """(devices, people) how well each person's gallery explains each device's updates."""
    galleries = [subject.gallery(name, size) for name in names]
    shared = [r for r in sorted(subject.sent) if all(_at(subject.steps[n], r) for n in names)]
    chosen = shared[:: max(1, -(-len(shared) // MOST_ROUNDS))]
    pulls = spans = np.zeros((len(names), len(names)))
    for number in chosen:
        steps = [step for name in names if (step := _at(subject.steps[name], number))]
        pulls = pulls + _pulls(subject, subject.sent[number], steps, galleries)
        spans = spans + _spans(subject, steps, galleries)
    return _standard(pulls) + _standard(spans)


def _at(steps: Sequence[Step], number: int) -> Step | None:
    return next((step for step in steps if step.round == number), None)


def _pulls(
    subject: Subject, sent: Step, steps: Sequence[Step], galleries: Sequence[Chosen]
) -> Vector:
    """Cosine of updates and of galleries' gradient steps, each less the mean."""
    expected = []
    for own in galleries:
        features, wanted = subject.inputs[own], np.eye(subject.classes)[subject.labels[own]]
        pull = wanted - softmax(features @ sent.weight.T + sent.bias)
        expected.append((pull.T @ features).ravel() / len(own))
    sides = np.stack([step.weight.ravel() for step in steps]), np.stack(expected)
    a, b = (side - side.mean(axis=0) for side in sides)
    lengths = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    return np.asarray(a @ b.T / np.maximum(lengths, 1e-300))


def _spans(subject: Subject, steps: Sequence[Step], galleries: Sequence[Chosen]) -> Vector:
    """Mean share of galleries' clips, less the public mean, that lies in each update's rows."""
    centred = [subject.inputs[own] - subject.centre for own in galleries]
    every = np.concatenate(centred)
    lengths = np.maximum(np.square(every).sum(axis=1), 1e-300)
    ends = np.cumsum([0, *map(len, galleries)])[:-1]
    sizes = np.array([len(own) for own in galleries])
    found = []
    for step in steps:
        _, values, directions = np.linalg.svd(step.weight, full_matrices=False)
        kept = directions[values > 1e-3 * max(values[0], 1e-300)]
        inside = np.square(every @ kept.T).sum(axis=1) / lengths
        found.append(np.add.reduceat(inside, ends) / sizes)
    return np.stack(found)


def _standard(scores: Vector) -> Vector:
    free = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    return np.asarray(free / max(float(free.std()), 1e-300))


ATTACK = Attack(
    id="A6",
    title="Whose device sent this?",
    source="after Wang et al. (INFOCOM 2019) and Orekondy et al. (arXiv 1805.05838)",
    views=(INDIVIDUAL,),
    run=run,
)
