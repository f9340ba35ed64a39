"""`federation`: what costs a federation accuracy, held against the same clips pooled."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from common.clips import ClipSet
from common.heads.universal import UniversalHead
from common.settings import STRATEGIES, FederationPlan
from simulations.experiments.experiment import Config, Experiment
from simulations.experiments.figures import accuracies, summary
from simulations.experiments.fleets import like_amounts, skewed, unlike_amounts
from simulations.experiments.inputs import Input
from simulations.experiments.measure import (
    FIXED,
    HeadTask,
    Material,
    Progress,
    federated,
    material,
    outside,
    plan_of,
    views,
)
from simulations.experiments.report.federation import section
from simulations.pooled import pooled_head
from simulations.protocols import Split

NO_SKEW = 1e6
PROXIMAL_MU = 0.1
Changes = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FleetTask:
    """Settings of one federation, and the places in the sweeps that it serves.

    Attributes:
        places: "axis: value" each.
        head, seed, rounds, user_folds: as in `HeadTask`.
        epochs: local ones; 0 for the head's default.
        memory: of the server's acceleration; negative for the head's default.
        strategy, proximal_mu, clients_per_round, dropout: as in `FederationPlan`.
        fleet: "all" clips, "skewed", "unlike" or "like" amounts, see `fleets`.
        concentration: of a skewed fleet.
    """

    places: tuple[str, ...]
    head: str
    seed: int
    rounds: int
    user_folds: int
    protocol: str = "by-take"
    epochs: int = 0
    memory: int = -1
    strategy: str = "fedavg"
    proximal_mu: float = 0.0
    clients_per_round: float = 0.0
    dropout: float = 0.0
    fleet: str = "all"
    concentration: float = NO_SKEW


@dataclass(frozen=True)
class Sweep:
    """One axis: its name, what it means, and what is changed for each value."""

    axis: str
    meaning: str
    variants: tuple[tuple[str, Changes], ...]

    @property
    def ends(self) -> tuple[tuple[str, Changes], ...]:
        """The first and the last value."""
        return self.variants[0], self.variants[-1]


def _strategy(name: str) -> Changes:
    return {"strategy": name, "proximal_mu": PROXIMAL_MU if name == "fedprox" else 0.0}


def _skew(concentration: float) -> Changes:
    return {"fleet": "skewed", "concentration": concentration}


SWEEPS = (
    Sweep(
        "rounds",
        "rounds of the federation, with the server's acceleration",
        tuple((str(n), {"rounds": n}) for n in (1, 3, 10, 30, 100)),
    ),
    Sweep(
        "rounds, plain",
        "the same without acceleration",
        tuple((str(n), {"rounds": n, "memory": 0}) for n in (1, 3, 10, 30, 100)),
    ),
    Sweep(
        "local epochs",
        "passes over a device's clips in a round",
        tuple((str(n), {"epochs": n}) for n in (1, 5, 20)),
    ),
    Sweep(
        "clients per round",
        "share of devices that a round asks, drawn anew each time",
        (("all", {}), ("50 %", {"clients_per_round": 0.5}), ("25 %", {"clients_per_round": 0.25})),
    ),
    Sweep(
        "lost or late",
        "chance that a device's reply does not count in a round",
        (
            ("none", {}),
            ("10 %", {"dropout": 0.1}),
            ("30 %", {"dropout": 0.3}),
            ("50 %", {"dropout": 0.5}),
        ),
    ),
    Sweep(
        "strategy",
        "how the server combines updates; all devices' clips",
        (("fedavg", {}), *((name, _strategy(name)) for name in STRATEGIES if name != "fedavg")),
    ),
    Sweep(
        "label skew",
        "Dirichlet concentration of a device's expressions; half of the clips each",
        (
            ("none", _skew(NO_SKEW)),
            ("5", _skew(5.0)),
            ("0.5", _skew(0.5)),
            ("0.1", _skew(0.1)),
        ),
    ),
    Sweep(
        "strategy, skew 0.1",
        "how the server combines updates of devices with skewed expressions",
        tuple((name, {**_skew(0.1), **_strategy(name)}) for name in STRATEGIES),
    ),
    Sweep(
        "amounts",
        "clips per device: from 4 to all, log-uniform, against as many in all shared equally",
        (("equal", {"fleet": "like"}), ("unlike", {"fleet": "unlike"})),
    ),
)
FULL = Config(
    protocols=("by-take",),
    heads=("logistic",),
    seeds=3,
    backbones=("mini-xception", "enet-b0-8-best-vgaf"),
)
MINI = Config(
    protocols=("by-take",),
    heads=("logistic",),
    seeds=1,
    rounds=6,
    user_folds=2,
    backbones=("mini-xception",),
    every=1,
    actors=7,
    quick=True,
)


def tasks(config: Config, seeds: Sequence[int], source: Input) -> list[FleetTask]:
    """Every setting of every sweep once."""
    del source
    base: dict[str, Any] = {"rounds": config.rounds, "user_folds": config.user_folds}
    places: dict[FleetTask, list[str]] = {}
    for head in config.heads:
        for sweep in SWEEPS:
            for value, changes in sweep.ends if config.quick else sweep.variants:
                for seed in seeds:
                    fields = {**base, **changes}
                    task = FleetTask(places=(), head=head, seed=seed, **fields)
                    places.setdefault(task, []).append(f"{sweep.axis}: {value}")
    return [dataclasses.replace(task, places=tuple(told)) for task, told in places.items()]


def run(task: FleetTask, source: Input, progress: Progress) -> dict[str, Any]:
    """Predictions of the federated and the pooled head on every test clip; who took part."""
    torch.set_num_threads(1)
    known = HeadTask(
        protocol=task.protocol, head=task.head, seed=task.seed, user_folds=task.user_folds
    )
    ready = material(known, source)
    records: list[dict[str, Any]] = []
    took_part: list[int] = []
    lost = clips = 0
    for done, federation in enumerate(ready.protocol.held_out, start=1):
        training = fleet(task, outside(ready, federation))
        head, rounds = federated(ready.specification, training, plan(task, federation))
        pooled = _pooled(task, source, federation, ready, training)
        splits = [split for split in ready.protocol.splits if split.federation == federation]
        records += [_test(ready, split, head, pooled) for split in splits]
        took_part += [entry.clients for entry in rounds[1:]]
        lost += sum(entry.lost for entry in rounds[1:])
        clips += len(training)
        progress(done / len(ready.protocol.held_out))
    return {
        "records": records,
        "updates_per_round": sum(took_part) / len(took_part),
        "replies_lost": lost,
        "training_clips": clips / len(ready.protocol.held_out),
    }


def _pooled(
    task: FleetTask, source: Input, federation: str, ready: Material, training: ClipSet
) -> UniversalHead:
    """The pooled head of these clips, which is the same for every way of federating them."""
    held = task.fleet, task.concentration, task.seed, task.user_folds
    head: UniversalHead = source.once_only(
        ("pooled", task.head, federation, *held),
        lambda: pooled_head(ready.specification, training, l2=FIXED.l2, seed=task.seed),
    )
    return head


def fleet(task: FleetTask, training: ClipSet) -> ClipSet:
    """The clips that the fleet's devices hold."""
    if task.fleet == "skewed":
        return skewed(training, task.concentration, seed=task.seed)
    if task.fleet == "all":
        return training
    amounts = unlike_amounts if task.fleet == "unlike" else like_amounts
    return amounts(training, seed=task.seed)


def plan(task: FleetTask, federation: str) -> FederationPlan:
    """The default federation with what the task changes."""
    usual = plan_of(task.head, federation, rounds=task.rounds, l2=FIXED.l2, seed=task.seed)
    return dataclasses.replace(
        usual,
        epochs=task.epochs or usual.epochs,
        memory=_memory(task, usual.memory),
        strategy=task.strategy,
        proximal_mu=task.proximal_mu,
        clients_per_round=task.clients_per_round,
        dropout=task.dropout,
    )


def _memory(task: FleetTask, usual: int) -> int:
    """Where `mien simulate` extrapolates: averages of all devices, lost replies or not."""
    if task.strategy not in ("fedavg", "fedprox") or task.clients_per_round:
        return 0
    return usual if task.memory < 0 else task.memory


def _test(
    ready: Material, split: Split, head: UniversalHead, pooled: UniversalHead
) -> dict[str, Any]:
    place = {name: index for index, name in enumerate(ready.clips.names)}
    heads = {"universal": head, "pooled": pooled}
    made = {
        name: views(each, ready.clips, split)[1].universal.argmax(axis=1).tolist()
        for name, each in heads.items()
    }
    labels = ready.clips.labels[[place[name] for name in split.test]].tolist()
    return {"user": split.user, "federation": split.federation, "labels": labels, **made}


def summarise(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Per input and axis, one row per value: federated, pooled, and the gap between."""
    names = list(dict.fromkeys(cell["data"]["name"] for cell in cells))
    sweeps = []
    for name in names:
        own = [cell for cell in cells if cell["data"]["name"] == name]
        for sweep in SWEEPS:
            found = (_row(own, f"{sweep.axis}: {value}", value) for value, _ in sweep.variants)
            rows = [row for row in found if row]
            if rows:
                about = {"features": name, "synthetic": own[0]["data"]["synthetic"]}
                sweeps.append({**about, "axis": sweep.axis, "meaning": sweep.meaning, "rows": rows})
    return {"sweeps": sweeps}


def _row(cells: Sequence[dict[str, Any]], place: str, value: str) -> dict[str, Any] | None:
    alike = [cell for cell in cells if place in cell["task"]["places"]]
    if not alike:
        return None
    runs = [cell["results"]["records"] for cell in alike]
    federated_, pooled = accuracies(runs, "universal"), accuracies(runs, "pooled")

    def mean(key: str) -> float:
        return float(sum(cell["results"][key] for cell in alike) / len(alike))

    return {
        "value": value,
        "seeds": len(alike),
        "federated": summary(federated_, seed=0, purpose=f"{place} federated"),
        "pooled": summary(pooled, seed=0, purpose=f"{place} pooled"),
        "gap": summary(federated_ - pooled, seed=0, purpose=f"{place} gap"),
        "updates_per_round": mean("updates_per_round"),
        "replies_lost": mean("replies_lost"),
        "training_clips": mean("training_clips"),
    }


EXPERIMENT = Experiment(
    name="federation",
    title="Federation: rounds, clients, losses, strategies, unlike devices",
    full=FULL,
    mini=MINI,
    tasks=tasks,
    run=run,
    summarise=summarise,
    section=section,
)
