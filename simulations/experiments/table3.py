"""`table3`: the paper's Table 3 on its own protocol and on an honest one, and the leak between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from simulations.experiments.experiment import BACKBONES, HEADS, Config, Experiment
from simulations.experiments.figures import twin_figures
from simulations.experiments.groups import figures_of, grouped, head_tasks
from simulations.experiments.measure import measure
from simulations.experiments.published import SOURCE, TABLE3
from simulations.experiments.report.table3 import section

FULL = Config(
    protocols=("paper", "by-take"),
    heads=HEADS,
    seeds=3,
    backbones=BACKBONES,
)
MINI = Config(
    protocols=("paper", "by-take"),
    heads=HEADS,
    seeds=1,
    rounds=6,
    frames=3,
    user_folds=3,
    backbones=BACKBONES[:1],
    every=1,
    actors=7,
)


def summarise(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row per input, head and protocol, with the twins apart; and what was published."""
    rows = []
    for group in grouped(cells):
        twins = {
            name: twin_figures(group.runs, name, index, seed=0)
            for name, index in (("universal", None), ("personal", -1))
        }
        rows.append({**group.about, **figures_of(group), "twin": twins})
    return {"rows": rows, "published": [asdict(p) for p in TABLE3], "source": SOURCE}


EXPERIMENT = Experiment(
    name="table3",
    title="Table 3: backbones, heads, universal and personal",
    full=FULL,
    mini=MINI,
    tasks=head_tasks,
    run=measure,
    summarise=summarise,
    section=section,
)
