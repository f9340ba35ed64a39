"""A5: are two updates from the same device, though its name was taken off?

Devices of one round are matched with those of the next by the cosine of their updates, each less
the round's mean. Orekondy et al. (Gradient-Leaks, arXiv 1805.05838); Xu, Cohn and Ohrimenko
(Fingerprint Attack, ECAI 2023).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from server.audit.finding import INDIVIDUAL, Attack, Outcome, not_measurable
from server.audit.ranking import MEASURE_LINKED, ranking_outcome
from server.audit.statistics import rank_one
from server.audit.subject import Subject
from server.audit.transcript import Vector

FEWEST = 3


def likeness(left: Vector, right: Vector) -> Vector:
    """(devices, devices) cosine of rows, each less its side's mean."""
    a, b = (side - side.mean(axis=0) for side in (left, right))
    lengths = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    return np.asarray(a @ b.T / np.maximum(lengths, 1e-300))


def run(subject: Subject, view: str) -> Outcome:
    """Each round against the next, over the devices of both; the middle pair of rounds counts."""
    del view
    rounds = {
        number: {
            n: s.weight.ravel()
            for n, steps in subject.steps.items()
            for s in steps
            if s.round == number
        }
        for number in sorted(subject.sent)
    }
    pairs = list(rounds.values())
    found = []
    for now, then in pairwise(pairs):
        both = sorted(set(now) & set(then))
        if len(both) >= FEWEST:
            sides = (np.stack([side[name] for name in both]) for side in (now, then))
            found.append((rank_one(likeness(*sides)), len(both)))
    if not found:
        return not_measurable(MEASURE_LINKED, f"no two rounds in turn had {FEWEST} devices")
    hits, devices = sorted(found, key=lambda each: each[0] / each[1])[len(found) // 2]
    return ranking_outcome(
        hits,
        devices,
        measure=MEASURE_LINKED,
        meaning=f"With names taken off, {hits} of {devices} devices' updates are matched with the "
        f"same devices' in the next round; {devices} guesses would match about one.",
        details={"pairs": [{"right": h, "of": d} for h, d in found]},
    )


ATTACK = Attack(
    id="A5",
    title="Can a device be followed from round to round without its name?",
    source="Orekondy et al. (arXiv 1805.05838), Xu et al. (ECAI 2023)",
    views=(INDIVIDUAL,),
    run=run,
)
