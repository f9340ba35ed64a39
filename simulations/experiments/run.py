"""Runs an experiment: its cells one after another, then one file that sums them up."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import check_writable
from simulations.experiments.cells import CellStore, Stamp, save_json, today
from simulations.experiments.experiment import Config, Experiment
from simulations.experiments.inputs import Input, Missing, Offer, mini_actors, tables, videos
from simulations.watching import Watcher

SCHEMA = "mien-experiment/1"
MOST_SEEDS = 1000
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says.

    Attributes:
        out: folder of the results.
        data: folder of RAVDESS videos; empty for none.
        features: feature tables.
        mini: the settings for CI; synthetic actors where no data is named.
        seeds: how many; 0 for the experiment's own number.
        workers: processes that extract features, at least 1.
        again: make every cell anew.
    """

    out: Path
    data: str = ""
    features: tuple[str, ...] = ()
    mini: bool = False
    seeds: int = 0
    workers: int = 1
    again: bool = False

    def command(self, name: str) -> str:
        """The command that does this again."""
        words = ["mien", "experiment", name]
        words += ["--data", self.data] if self.data else []
        words += [word for table in self.features for word in ("--features", table)]
        words += ["--mini"] if self.mini else []
        words += ["--seeds", str(self.seeds)] if self.seeds else []
        return shlex.join([*words, "--out", str(self.out)])


def run_experiment(experiment: Experiment, options: Options, watch: Watcher) -> Record:
    """Run what is missing of an experiment and write `<name>.json` into the output folder.

    Cells lie in a folder of the experiment's name, one file each; those that are there, of the
    same settings, data and code, are used again, and the results say which.

    Raises:
        UsageError: no data or several, data that can't be used, or a folder that can't be written.
        WorkError: no clip could be used, or a federation failed.
    """
    _check(options, draws=experiment.own_inputs is not None)
    check_writable(options.out)
    started = time.monotonic()
    config = experiment.mini if options.mini else experiment.full
    first = config.first_seed
    seeds = range(first, first + (options.seeds or config.seeds))
    stamp = Stamp.now(experiment.name, options.command(experiment.name))
    store = CellStore(options.out / experiment.name, stamp, options.again)
    offers, missing = _all_offers(experiment, config, options, watch)
    cells: list[Record] = []
    for offer in offers:
        source = offer.load()
        if any(source.name == cell["data"]["name"] for cell in cells):
            raise UsageError(f"{source.name}: two tables hold features of this; give one of them")
        cells += _cells(experiment, config, seeds, source, store, watch)
    missing += _others(experiment, options, {cell["data"]["name"] for cell in cells}, missing)
    figures = experiment.summarise(cells)
    results = {
        **_how(experiment, stamp),
        "mini": options.mini,
        "config": asdict(config),
        "seeds": list(seeds),
        **_of_what(cells),
        "missing": [asdict(each) for each in missing],
        "seconds_now": round(time.monotonic() - started, 1),
        **{key: figures[key] for key in experiment.headline if key in figures},
        "figures": figures,
    }
    save_json(options.out / f"{experiment.name}.json", results)
    return results


def _how(experiment: Experiment, stamp: Stamp) -> Record:
    return {
        "schema": SCHEMA,
        "name": experiment.name,
        "title": experiment.title,
        "command": stamp.command,
        "date": today(),
        "commit": stamp.commit,
        "code": stamp.code,
        "versions": dict(stamp.versions),
    }


def _of_what(cells: Sequence[Record]) -> Record:
    return {
        "data": list({cell["data"]["name"]: cell["data"] for cell in cells}.values()),
        "synthetic": any(cell["data"]["synthetic"] for cell in cells),
        "cells": [_told(cell) for cell in cells],
        "seconds": round(sum(cell["seconds"] for cell in cells), 1),
    }


def _check(options: Options, *, draws: bool = False) -> None:
    if options.data and options.features:
        raise UsageError("both --data and --features are given; give one of them")
    if not (options.data or options.features or options.mini or draws):
        raise UsageError(
            "no data is named; give --data FOLDER (RAVDESS videos) or --features TABLE, or --mini "
            "for a few synthetic actors"
        )
    if not 0 <= options.seeds <= MOST_SEEDS:
        raise UsageError(f"seeds is {options.seeds}, expected 1 to {MOST_SEEDS}")
    if options.workers < 1:
        raise UsageError(f"workers is {options.workers}, expected 0 (one per core) or more")


def _all_offers(
    experiment: Experiment, config: Config, options: Options, watch: Watcher
) -> tuple[Sequence[Offer], list[Missing]]:
    """What an experiment draws itself, then what is named."""
    if experiment.own_inputs is None:
        return _offers(config, options, watch)
    own = experiment.own_inputs(config, options.workers, watch)
    if not (options.data or options.features):
        return own, []
    named, missing = _offers(config, options, watch)
    return [*own, *named], missing


def _offers(
    config: Config, options: Options, watch: Watcher
) -> tuple[Sequence[Offer], list[Missing]]:
    if options.features:
        return list(tables([Path(path) for path in options.features])), []
    root = Path(options.data) if options.data else None
    if root is None:
        root = mini_actors(config.actors, workers=options.workers, watch=watch)
    return videos(root, config.backbones, every=config.every, workers=options.workers, watch=watch)


def _others(
    experiment: Experiment, options: Options, here: set[str], missing: Sequence[Missing]
) -> list[Missing]:
    """Backbones of the whole experiment that nobody asked for in this run."""
    reason = "no feature table of it was given" if options.features else "left out by --mini"
    known = here | {each.name for each in missing}
    return [Missing(name, reason) for name in experiment.full.backbones if name not in known]


def _cells(
    experiment: Experiment,
    config: Config,
    seeds: Sequence[int],
    source: Input,
    store: CellStore,
    watch: Watcher,
) -> list[Record]:
    tasks = experiment.tasks(config, seeds, source)
    phase = f"{source.name}: cells"
    cells = []
    for done, task in enumerate(tasks):

        def make(task: Any = task, done: int = done) -> Record:
            return experiment.run(
                task, source, lambda part: _tell(watch, phase, done + part, tasks)
            )

        cell, reused = store.get(task, source, make)
        cells.append({**cell, "reused": reused})
        _tell(watch, phase, done + 1, tasks)
    return cells


def _tell(watch: Watcher, phase: str, done: float, tasks: Sequence[Any]) -> None:
    watch(phase, int(100 * done), 100 * len(tasks))


def _told(cell: Record) -> Record:
    kept = ("file", "date", "commit", "seed", "seconds", "reused", "command")
    return {key: cell[key] for key in kept}
