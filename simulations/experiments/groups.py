"""Cells that differ only in their seed, brought together; and tasks for heads and protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from common.errors import UsageError
from simulations.experiments.experiment import Config
from simulations.experiments.figures import accuracies, harmed, recalls, summary
from simulations.experiments.inputs import Input
from simulations.experiments.measure import HeadTask
from simulations.protocols import PAPER, paper_protocol

Record = dict[str, Any]
Runs = Sequence[Sequence[Mapping[str, Any]]]
SINGLE = ("universal_raw", "universal", "pooled")
CURVES = ("local_only", "fine_tune", "personal")


class Group(NamedTuple):
    """Cells of one input, head and protocol.

    Attributes:
        data: what the cells say of it.
        head, protocol: of all of them.
        runs: records, one list per seed.
        cells: the cells.
    """

    data: Mapping[str, Any]
    head: str
    protocol: str
    runs: list[list[Record]]
    cells: list[Record]

    @property
    def about(self) -> Record:
        """What a row of results says first."""
        first = self.runs[0]
        return {
            "features": self.data["name"],
            "synthetic": self.data["synthetic"],
            "twins": self.data["second_files_of_a_take"],
            "head": self.head,
            "protocol": self.protocol,
            "seeds": len(self.runs),
            "users": len({record["user"] for record in first}),
            "test_clips": sum(len(record["labels"]) for record in first),
            "accepted_leak": any(
                cell["results"]["federation"]["accepted_leak"] for cell in self.cells
            ),
        }


def grouped(cells: Sequence[Record]) -> Iterator[Group]:
    """Groups in the order in which their first cells stand."""
    found: dict[tuple[str, str, str], list[Record]] = {}
    for cell in cells:
        task = cell["task"]
        key = cell["data"]["name"], task["head"], task["protocol"]
        found.setdefault(key, []).append(cell)
    for (_, head, protocol), alike in found.items():
        runs = [cell["results"]["records"] for cell in alike]
        yield Group(alike[0]["data"], head, protocol, runs, alike)


def head_tasks(
    config: Config, seeds: Sequence[int], source: Input, *, common: bool = False
) -> list[HeadTask]:
    """One task per protocol, head and seed.

    Raises:
        UsageError: the data allows none of the protocols.
    """
    return [
        HeadTask(
            protocol=protocol,
            head=head,
            seed=seed,
            own_clips=config.own_clips,
            draws=config.draws,
            rounds=config.rounds,
            frames=config.frames,
            user_folds=config.user_folds,
            chosen=config.chosen,
            common=common,
            methods=config.methods,
        )
        for protocol in allowed(config.protocols, source)
        for head in config.heads
        for seed in seeds
    ]


def allowed(protocols: Sequence[str], source: Input) -> list[str]:
    """The protocols that the data allows: `paper` needs actors 1 to 5 and others.

    Raises:
        UsageError: it allows none.
    """
    reason = why_no_paper(source)
    found = [name for name in protocols if name != PAPER or not reason]
    if not found:
        raise UsageError(f"{source.description}: {reason}")
    return found


def why_no_paper(source: Input) -> str:
    """Why protocol `paper` can't run on the data; empty if it can."""
    try:
        paper_protocol(source.clips, source.ravdess, seed=0)
    except UsageError as error:
        return str(error)
    return ""


def figures_of(group: Group, index: int = -1) -> Record:
    """Accuracy and macro recall of every head of a group; curves at one number of own clips."""
    found: Record = {"accuracy": {}, "uar": {}}
    for name in (*SINGLE, *CURVES):
        if name not in group.runs[0][0]:
            found["accuracy"][name] = None
            continue
        place = index if name in CURVES else None
        values = accuracies(group.runs, name, place)
        purpose = f"{group.about['features']} {group.head} {group.protocol} {name} {index}"
        found["accuracy"][name] = summary(values, seed=0, purpose=purpose)
        found["uar"][name] = float(recalls(group.runs, name, place).mean())
    universal = accuracies(group.runs, "universal")
    found["harmed"] = harmed(accuracies(group.runs, "personal", index), universal)
    return found
