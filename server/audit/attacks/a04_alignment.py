"""A4: does the update point where a clip's own gradient points?

Nasr et al. (S&P 2019) and Li, Li and Ribeiro (ICLR 2023) for the score; the other devices' updates
are the null, as in FedMIA (Zhu et al., arXiv 2402.06289), so that nothing has to be trained. Clips
of one person are alike; to tell one from the others, features are whitened by those of people who
took no part. The final head has no updates; there the clip's confidence takes their place.
"""

from __future__ import annotations

import numpy as np

from server.audit.finding import FINAL, INDIVIDUAL, SUM, VIEWS, Attack, Outcome, not_measurable
from server.audit.membership import MEASURE, Scored, membership_outcome
from server.audit.softmax import softmax
from server.audit.subject import Step, Subject
from server.audit.transcript import Vector

FEWEST_PUBLIC = 50
REGULAR = 0.03
"""Of the mean variance; chosen in a lab of another seed."""


def alignment(
    sent: Step, moves: list[Step], features: Vector, wanted: Vector, probes: Vector | None = None
) -> Vector:
    """(moves, clips) cosine of each move with what each clip's own gradient step would be.

    Args:
        sent: classifier at the start of the round.
        moves: changes in the round.
        features: (clips, dimension).
        wanted: (clips, classes) one-hot expressions.
        probes: (clips, dimension) looked for in place of the features; None looks for these.
    """
    pull = wanted - softmax(features @ sent.weight.T + sent.bias)
    stacked = np.concatenate([np.column_stack([m.weight, m.bias]) for m in moves])
    longer = np.column_stack([features if probes is None else probes, np.ones(len(features))])
    reached = (stacked @ longer.T).reshape(len(moves), len(sent.bias), len(features))
    inner = np.einsum("mcf,fc->mf", reached, pull)
    lengths = np.linalg.norm(pull, axis=1) * np.linalg.norm(longer, axis=1)
    sizes = [np.sqrt(np.square(m.weight).sum() + np.square(m.bias).sum()) for m in moves]
    return np.asarray(inner / np.maximum(np.outer(sizes, lengths), 1e-300))


def slow_alignment(sent: Step, move: Step, feature: Vector, label: int) -> float:
    """One entry of `alignment` by writing the gradient out: an oracle for tests."""
    scores = np.exp(sent.weight @ feature + sent.bias)
    error = scores / scores.sum()
    error[label] -= 1
    gradient = np.concatenate([np.outer(error, feature).ravel(), error])
    moved = np.concatenate([move.weight.ravel(), move.bias])
    return float(-(gradient @ moved) / np.linalg.norm(gradient) / np.linalg.norm(moved))


def whitened(subject: Subject, features: Vector) -> Vector:
    """(clips, dimension) features by the inverse of public people's covariance, made regular."""
    known = subject.inputs[subject.public]
    if len(known) < FEWEST_PUBLIC:
        return features
    _, sizes, directions = np.linalg.svd(known - subject.centre, full_matrices=False)
    spread = np.square(sizes) / len(known)
    floor = REGULAR * max(float(spread.mean()), 1e-300)
    centred = features - subject.centre
    return np.asarray(
        centred / floor
        + ((centred @ directions.T) * (1 / (spread + floor) - 1 / floor)) @ directions
    )


def run(subject: Subject, view: str) -> Outcome:
    """Scores over all rounds together."""
    if subject.candidates is None:
        return not_measurable(MEASURE, "no clips with known membership were given")
    names = [name for name in subject.targets if len(subject.own(name))]
    if view == INDIVIDUAL:
        names = [name for name in names if name in subject.steps]
    if not names or (view == INDIVIDUAL and len(subject.steps) < 3):
        return not_measurable(MEASURE, "it needs three devices, and clips of one of them")
    scored = _individual(subject, names) if view == INDIVIDUAL else _together(subject, view, names)
    return membership_outcome(
        subject,
        scored,
        view=view,
        negatives=sum(len(each.negatives) for each in scored.values()),
        what="pulls the update its own way" if view != FINAL else "is recognised more surely",
        details={"rounds": len(subject.sums)},
    )


def _individual(subject: Subject, names: list[str]) -> dict[str, Scored]:
    """A device's alignment less the mean of the devices that can't have the clip."""
    order = list(subject.steps)
    pieces = {n: (subject.own(n), subject.negatives(n)) for n in names}
    chosen = np.unique(np.concatenate([part for both in pieces.values() for part in both]))
    place = np.full(len(subject.labels), -1)
    place[chosen] = np.arange(len(chosen))
    mean = _mean_alignment(subject, order, chosen)
    owners = subject.known.owner_of[chosen]
    scored = {}
    for name in names:
        row = order.index(name)
        others = np.array([other for other in range(len(order)) if other != row])
        null = np.ma.masked_array(
            mean[others], mask=np.array(order)[others][:, None] == owners[None, :]
        )
        above = mean[row] - null.mean(axis=0)
        both = (np.asarray(above[place[part]], dtype=np.float64) for part in pieces[name])
        scored[name] = Scored(*both)
    return scored


def _mean_alignment(
    subject: Subject, order: list[str], chosen: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Vector:
    features, wanted = subject.inputs[chosen], np.eye(subject.classes)[subject.labels[chosen]]
    probes = whitened(subject, features)
    total = np.zeros((len(order), len(chosen)))
    seen = np.zeros((len(order), 1))
    for number, sent in subject.sent.items():
        there = [(i, s) for i, n in enumerate(order) for s in subject.steps[n] if s.round == number]
        if there:
            rows = [i for i, _ in there]
            total[rows] += alignment(sent, [s for _, s in there], features, wanted, probes)
            seen[rows] += 1
    return total / np.maximum(seen, 1)


def _together(subject: Subject, view: str, names: list[str]) -> dict[str, Scored]:
    members = np.concatenate([subject.own(name) for name in names])
    negatives = np.unique(np.concatenate([subject.negatives(name) for name in names]))
    if not subject.hard:
        negatives = subject.public
    scores = [_of_all(subject, view, part) for part in (members, negatives)]
    return {"all devices together": Scored(*scores)}


def _of_all(
    subject: Subject, view: str, chosen: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Vector:
    features, wanted = subject.inputs[chosen], np.eye(subject.classes)[subject.labels[chosen]]
    if view == SUM:
        probes = whitened(subject, features)
        each = [
            alignment(subject.sent[s.round], [s], features, wanted, probes)[0] for s in subject.sums
        ]
        return np.asarray(np.mean(each, axis=0))
    logits = features @ subject.final.weight.T + subject.final.bias
    sure = np.clip((softmax(logits) * wanted).sum(axis=1), 1e-300, 1 - 1e-16)
    return np.asarray(np.log(sure) - np.log1p(-sure))


ATTACK = Attack(
    id="A4",
    title="Was this clip trained on? By the direction of what was sent",
    source="Nasr et al. (S&P 2019), Li et al. (ICLR 2023), Zhu et al. (FedMIA, arXiv 2402.06289)",
    views=VIEWS,
    run=run,
)
