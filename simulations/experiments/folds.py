"""`folds`: the published five subject-wise folds, to compare with other people's figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulations.experiments.experiment import BACKBONES, HEADS, Config, Experiment
from simulations.experiments.figures import user_accuracy
from simulations.experiments.groups import Group, figures_of, grouped, head_tasks
from simulations.experiments.measure import measure
from simulations.experiments.published import FOLDS, FOLDS_SOURCE
from simulations.experiments.report.folds import section

FULL = Config(protocols=("folds",), heads=HEADS, seeds=1, backbones=BACKBONES)
MINI = Config(
    protocols=("folds",),
    heads=("logistic",),
    seeds=1,
    rounds=6,
    backbones=BACKBONES[:1],
    every=1,
    actors=7,
)


def summarise(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row per input and head, and accuracies fold by fold."""
    rows = [{**g.about, **figures_of(g), "folds": _by_fold(g)} for g in grouped(cells)]
    others = [{"what": what, "accuracy": figure} for what, figure in FOLDS]
    return {"rows": rows, "published": others, "source": FOLDS_SOURCE}


def _by_fold(group: Group) -> list[dict[str, Any]]:
    records = [record for run in group.runs for record in run]
    found = []
    for fold in sorted({record["federation"] for record in records}):
        own = [record for record in records if record["federation"] == fold]
        found.append(
            {
                "fold": fold,
                "users": sorted({record["user"] for record in own}),
                "universal": user_accuracy(own, "universal"),
                "personal": user_accuracy(own, "personal", -1),
            }
        )
    return found


EXPERIMENT = Experiment(
    name="folds",
    title="Published subject-wise five folds",
    full=FULL,
    mini=MINI,
    tasks=head_tasks,
    run=measure,
    summarise=summarise,
    section=section,
)
