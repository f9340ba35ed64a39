"""A2a: a classifier's row divided by its bias, which is a clip's feature if one clip was alone.

Phong et al., IEEE TIFS 2018; Geiping et al., NeurIPS 2020. Cosines are taken after the mean of
people who took no part is subtracted: nonnegative features are all alike before that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server.audit.finding import INDIVIDUAL, SUM, Attack, Outcome, Verdict, judged, not_measurable
from server.audit.statistics import clopper_pearson
from server.audit.subject import Step, Subject
from server.audit.transcript import Vector

MEASURE = "share of clips whose feature can be read off a row"
ALIKE = 0.95


def ratios(steps: Sequence[Step]) -> Vector:
    """(rows, dimension) row over bias of all expressions and rounds; where the bias moved."""
    rows = [
        step.weight[c] / step.bias[c]
        for step in steps
        for c in range(len(step.bias))
        if step.bias[c] != 0
    ]
    return np.stack(rows) if rows else np.zeros((0, steps[0].weight.shape[1] if steps else 0))


def found_clips(rows: Vector, features: Vector, centre: Vector) -> int:
    """Clips whose feature has a centred cosine above `ALIKE` with a row."""
    if not len(rows) or not len(features):
        return 0
    return int((_unit(features - centre) @ _unit(rows - centre).T).max(axis=1).__gt__(ALIKE).sum())


def run(subject: Subject, view: str) -> Outcome:
    """All rows against the device's own clips, and against another device's for comparison."""
    if subject.candidates is None:
        return not_measurable(MEASURE, "no clips with known membership were given")
    names = [name for name in subject.members if len(subject.own(name))]
    if len(names) < 2:
        return not_measurable(MEASURE, "it needs two devices whose clips are known")
    centre = subject.centre
    by_name = subject.steps if view == INDIVIDUAL else dict.fromkeys(names, subject.sums)
    hits = base = total = 0
    for place, name in enumerate(names):
        rows = ratios(by_name.get(name, []))
        own, other = (subject.own(n) for n in (name, names[place - 1]))
        hits += found_clips(rows, subject.inputs[own], centre)
        base += found_clips(rows, subject.inputs[other], centre)
        total += len(own)
    verdict = judged(passes=hits == 0, fails=hits > base)
    return Outcome(
        measure=MEASURE,
        figure=hits / total,
        chance=base / total,
        interval=clopper_pearson(hits, total),
        threshold=0.0,
        verdict=verdict,
        meaning=f"{hits} of {total} clips' features can be copied out of what was sent by dividing "
        f"two numbers ({base} would be by accident).",
        change=""
        if verdict is Verdict.PASS
        else "Let no device with very few clips of an expression take part, and put no layer "
        "between raw features and the classifier.",
        details={"clips": hits, "by_accident": base, "of": total},
    )


def _unit(rows: Vector) -> Vector:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300))


ATTACK = Attack(
    id="A2a",
    title="Can a clip's feature be read off a row?",
    source="Phong et al. (IEEE TIFS 2018), Geiping et al. (NeurIPS 2020)",
    views=(INDIVIDUAL, SUM),
    run=run,
)
