"""`figures3-4`: confusion matrices of universal and personal heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulations.experiments.experiment import HEADS, Config, Experiment
from simulations.experiments.figures import confusion
from simulations.experiments.groups import figures_of, grouped, head_tasks
from simulations.experiments.measure import measure
from simulations.experiments.report.figures3_4 import section

FULL = Config(
    protocols=("by-take",),
    heads=HEADS,
    seeds=1,
    methods=("personal",),
    backbones=("enet-b0-8-best-vgaf", "mini-xception"),
)
MINI = Config(
    protocols=("by-take",),
    heads=("logistic",),
    seeds=1,
    rounds=6,
    frames=3,
    methods=("personal",),
    user_folds=3,
    backbones=("mini-xception",),
    every=1,
    actors=7,
)


def summarise(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Both matrices per input, protocol and head."""
    return {
        "panels": [
            {
                **group.about,
                **figures_of(group),
                "universal": confusion(group.runs, "universal"),
                "personal": confusion(group.runs, "personal", -1),
            }
            for group in grouped(cells)
        ]
    }


EXPERIMENT = Experiment(
    name="figures3-4",
    title="Figures 3 and 4: what is taken for what",
    full=FULL,
    mini=MINI,
    tasks=head_tasks,
    run=measure,
    summarise=summarise,
    section=section,
)
