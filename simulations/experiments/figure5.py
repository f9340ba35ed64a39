"""`figure5`: accuracy against own clips, personal heads against one common head for all users."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from simulations.experiments.experiment import HEADS, Config, Experiment
from simulations.experiments.figures import accuracies, harmed, summary
from simulations.experiments.groups import Group, grouped, head_tasks
from simulations.experiments.measure import measure
from simulations.experiments.published import FIGURE5, SOURCE
from simulations.experiments.report.figure5 import section

LINES = ("personal", "common", "fine_tune", "local_only")
FULL = Config(
    protocols=("paper", "by-take"),
    heads=HEADS,
    seeds=3,
    draws=2,
    own_clips=(1, 2, 3, 4, 5, 6, 8, 10, 12, 14),
    backbones=("enet-b0-8-best-vgaf", "mini-xception"),
)
MINI = Config(
    protocols=("paper", "by-take"),
    heads=HEADS,
    seeds=1,
    rounds=6,
    frames=3,
    user_folds=3,
    own_clips=(1, 2, 3),
    backbones=("mini-xception",),
    every=1,
    actors=7,
)


def summarise(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A panel per input, protocol and head, its lines as far as there are more clips to take."""
    panels = [_panel(group) for group in grouped(cells)]
    return {"panels": panels, "published": FIGURE5, "source": SOURCE}


def _panel(group: Group) -> dict[str, Any]:
    results = [cell["results"] for cell in group.cells]
    counts = min((found["own_clips"] for found in results), key=len)
    told = f"{group.data['name']} {group.head} {group.protocol}"
    values = {
        name: [accuracies(group.runs, name, index) for index in range(len(counts))]
        for name in LINES
        if name in group.runs[0][0]
    }
    universal = accuracies(group.runs, "universal")
    return {
        **group.about,
        "own_clips": counts,
        "most_own_clips": max(found["most_own_clips"] for found in results),
        "universal": summary(universal, seed=0, purpose=f"{told} universal"),
        "lines": {
            name: [
                summary(each, seed=0, purpose=f"{told} {name} {count}")
                for count, each in zip(counts, column, strict=True)
            ]
            for name, column in values.items()
        },
        "harmed": [harmed(each, universal) for each in values["personal"]],
    }


EXPERIMENT = Experiment(
    name="figure5",
    title="Figure 5: accuracy against own clips",
    full=FULL,
    mini=MINI,
    tasks=partial(head_tasks, common=True),
    run=measure,
    summarise=summarise,
    section=section,
)
