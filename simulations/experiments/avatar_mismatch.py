"""`avatar-mismatch`: does the avatar show what the person shows? Four detectors on drawn pairs.

The pairs are synthetic and of a frozen difficulty (`simulations.avatars.difficulty`). Beside them,
on real features if a table is given: same or different expression on pairs of real clips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final

import numpy as np

from client.avatar.detectors.file import NAMES
from common.clips import make_clip_set
from simulations.avatars.difficulty import FROZEN
from simulations.avatars.figures import area, by_person, curve, equal_error
from simulations.avatars.people import FOLDS, Amounts, World, draw_world
from simulations.avatars.readings import FEATURES
from simulations.avatars.real_clips import RealTask, measure_real
from simulations.avatars.work import PairTask, measure_pairs
from simulations.experiments.experiment import Config, Experiment
from simulations.experiments.inputs import Input, Offer
from simulations.experiments.measure import Progress
from simulations.experiments.report.avatar_mismatch import section
from simulations.watching import Watcher, unwatched

Record = dict[str, Any]
Cells = Sequence[Mapping[str, Any]]
Figure = Callable[..., float]
SOURCE: Final = "synthetic-pairs"
BETTER: Final = "personal"
READERS: Final = ("universal", "personal")

FIRST_SEED = 1
"""Seed 0 was looked at while the detectors were built, the difficulty was tuned on seed 1000."""
FULL = Config(protocols=(), heads=(), seeds=5, user_folds=6, actors=24, first_seed=FIRST_SEED)
MINI = Config(protocols=(), heads=(), seeds=1, user_folds=3, actors=24, first_seed=FIRST_SEED)


@dataclass(frozen=True, eq=False)
class Drawn(Input):
    """Synthetic people instead of clips: a world per seed, drawn when it is asked for."""

    amounts: Amounts = field(default_factory=Amounts)
    workers: int = 1
    watch: Watcher = unwatched

    @cached_property
    def about(self) -> Record:
        """What a result says of its data; the digest is the difficulty's."""
        drawn = self.amounts.actors * self.amounts.pairs * 8
        return {
            "name": self.name,
            "description": self.description,
            "features": self.features,
            "synthetic": True,
            "clips": drawn,
            "users": self.amounts.actors,
            "second_files_of_a_take": 0,
            "left_out": 0,
            "digest": FROZEN.digest,
        }

    def world(self, seed: int) -> World:
        """Everybody of a seed."""
        make = partial(draw_world, seed, self.amounts, workers=self.workers, watch=self.watch)
        world: World = self.once_only(("world", seed), make)
        return world


def offers(config: Config, workers: int, watch: Watcher) -> list[Offer]:
    """The drawn people, as an input like others."""

    def load() -> Input:
        return Drawn(
            name=SOURCE,
            clips=make_clip_set([], [], [], []),
            ravdess=None,
            features=FEATURES,
            description=f"pairs of {config.actors} synthetic actors and their avatars",
            synthetic=True,
            left_out=0,
            amounts=Amounts(actors=config.actors, **dict(config.amounts)),
            workers=workers,
            watch=watch,
        )

    return [Offer(SOURCE, load)]


def tasks(config: Config, seeds: Sequence[int], source: Input) -> list[PairTask] | list[RealTask]:
    """A task per seed and fold of drawn people, or per seed of a table's clips."""
    if not isinstance(source, Drawn):
        return [RealTask(seed=seed, folds=config.user_folds) for seed in seeds]
    amounts = source.amounts
    return [
        PairTask(
            seed=seed,
            fold=fold,
            actors=amounts.actors,
            faces=amounts.faces,
            avatars=amounts.avatars,
            pairs=amounts.pairs,
            strangers=amounts.strangers,
            each=amounts.each,
            difficulty=FROZEN.digest[:12],
        )
        for seed in seeds
        for fold in range(FOLDS)
    ]


def run(task: PairTask | RealTask, source: Input, progress: Progress) -> Record:
    """Measure a cell's task."""
    if isinstance(task, RealTask):
        return measure_real(task, source, progress)
    if not isinstance(source, Drawn):
        raise TypeError(f"drawn pairs were asked of {source.name}")
    return measure_pairs(task, source.world(task.seed), progress)


def summarise(cells: Cells) -> Record:
    """Figures of all detectors on drawn pairs, and of both heads on each table's real pairs."""
    drawn = [cell for cell in cells if cell["task"]["kind"] == PairTask.kind]
    real: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        if cell["task"]["kind"] == RealTask.kind:
            real.setdefault(cell["data"]["name"], []).append(cell)
    return {
        **(_drawn_figures(drawn) if drawn else {}),
        "real": [_real_figures(name, alike) for name, alike in real.items()],
    }


@dataclass(frozen=True, eq=False)
class _Scored:
    """One detector's test pairs over all cells.

    Attributes:
        scores: less each cell's threshold, so that 0 and above is a mismatch.
        mismatch, people, cells: (pairs,) truth, whose pair, which cell.
    """

    scores: np.ndarray[Any, np.dtype[np.float64]]
    mismatch: np.ndarray[Any, np.dtype[np.bool_]]
    people: np.ndarray[Any, np.dtype[np.int64]]
    cells: np.ndarray[Any, np.dtype[np.int64]]

    def accuracy(self, weights: Any = None) -> float:
        """Share of pairs that are told rightly at the threshold."""
        right = (self.scores >= 0) == self.mismatch
        return float(np.average(right, weights=weights))

    def auc(self, weights: Any = None) -> float:
        """Mean of the cells' areas, each by how many pairs it has."""
        every = np.ones(len(self.scores)) if weights is None else weights
        areas, sizes = [], []
        for mine in self._parts():
            if every[mine].sum() > 0:
                areas.append(area(self.scores[mine], self.mismatch[mine], every[mine]))
                sizes.append(every[mine].sum())
        return float(np.average(areas, weights=sizes))

    def eer(self, weights: Any = None) -> float:
        """Mean of the cells' equal error rates; `weights` are whole numbers."""
        rates = []
        for mine in self._parts():
            times = np.ones(mine.sum(), int) if weights is None else weights[mine].astype(int)
            if times.sum() > 0:
                scores, truth = (np.repeat(v[mine], times) for v in (self.scores, self.mismatch))
                rates.append(equal_error(scores, truth))
        return float(np.mean(rates))

    def roc(self) -> Record:
        """The curve that is the mean of the cells' curves."""
        curves = [curve(self.scores[mine], self.mismatch[mine]) for mine in self._parts()]
        found = np.mean([each["found"] for each in curves], axis=0)
        return {"false_alarms": curves[0]["false_alarms"], "found": found.tolist()}

    def _parts(self) -> list[np.ndarray[Any, np.dtype[np.bool_]]]:
        return [self.cells == cell for cell in np.unique(self.cells)]


def _scored(cells: Cells, name: str) -> _Scored:
    scores, mismatch, people, places = [], [], [], []
    for place, cell in enumerate(cells):
        found, seed = cell["results"], cell["task"]["seed"]
        own = found["detectors"][name]
        scores.append(np.array(own["scores"]) - own["threshold"])
        mismatch.append(np.array(found["mismatch"], dtype=bool))
        people.append(1000 * seed + np.array(found["actors"]))
        places.append(np.full(len(found["mismatch"]), place))
    return _Scored(*(np.concatenate(part) for part in (scores, mismatch, people, places)))


MEASURES: Final = ("accuracy", "auc", "eer")
RESAMPLES: Final = {"accuracy": 2000, "auc": 1000, "eer": 300}


def _drawn_figures(cells: Cells) -> Record:
    scored = {name: _scored(cells, name) for name in NAMES}
    figures: Record = {measure: {} for measure in MEASURES}
    intervals: Record = {measure: {} for measure in MEASURES}
    for name, each in scored.items():
        for measure in MEASURES:
            figure: Figure = getattr(each, measure)
            figures[measure][name] = figure()
            intervals[measure][name] = by_person(
                figure,
                each.people,
                purpose=f"{measure} {name}",
                resamples=RESAMPLES[measure],
            )
    first, ours = cells[0]["task"], scored[BETTER]
    read = [cell["results"]["read"] for cell in cells]
    return {
        "synthetic": True,
        **figures,
        "intervals": intervals,
        "gain_in_auc": _gains(scored),
        "curves": {name: each.roc() for name, each in scored.items()},
        "difficulty": FROZEN.digest,
        "people": len(np.unique(ours.people)),
        "pairs": len(ours.scores),
        "confirmed_own_pictures": 8 * first["faces"],
        "own_avatars_drawn": 8 * first["avatars"],
        "trained_on": [
            {key: cell["results"][f"{key}_pairs"] for key in ("training", "practice", "validation")}
            for cell in cells
        ],
        "read": {key: float(np.mean([each[key] for each in read])) for key in read[0]},
        "by_cell": [_of_cell(cell) for cell in cells],
    }


def _gains(scored: Mapping[str, _Scored]) -> Record:
    """By how much ours has a larger area than each other, on resampled people both alike."""
    ours = scored[BETTER]
    found = {}
    for name, other in scored.items():
        if name == BETTER:
            continue

        def gain(weights: Any = None, other: _Scored = other) -> float:
            return ours.auc(weights) - other.auc(weights)

        low, high = by_person(gain, ours.people, purpose=f"gain {name}", resamples=1000)
        found[name] = {"mean": gain(), "low": low, "high": high}
    return found


def _of_cell(cell: Mapping[str, Any]) -> Record:
    """Accuracy of each detector in one fold."""
    alone = {name: _scored([cell], name) for name in NAMES}
    return {
        "seed": cell["task"]["seed"],
        "fold": cell["task"]["fold"],
        "accuracy": {name: each.accuracy() for name, each in alone.items()},
        "auc": {name: each.auc() for name, each in alone.items()},
    }


def _real_figures(name: str, cells: Cells) -> Record:
    """AUC of same against different expression on one table's clips, with both heads."""
    users = sorted({user for cell in cells for user in cell["results"]["users"]})
    place = {user: index for index, user in enumerate(users)}

    def scored(reader: str) -> _Scored:
        parts = [
            (
                np.array(cell["results"][reader]),
                np.array(cell["results"]["mismatch"], dtype=bool),
                np.array([place[user] for user in cell["results"]["users"]]),
                np.full(len(cell["results"]["users"]), index),
            )
            for index, cell in enumerate(cells)
        ]
        return _Scored(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    both = {reader: scored(reader) for reader in READERS}
    universal, personal = (both[reader] for reader in READERS)

    def gain(weights: Any = None) -> float:
        return personal.auc(weights) - universal.auc(weights)

    low, high = by_person(gain, personal.people, purpose=f"real gain {name}", resamples=1000)
    return {
        "features": name,
        "synthetic": cells[0]["data"]["synthetic"],
        "users": len(users),
        "pairs": len(personal.scores),
        "auc": {reader: each.auc() for reader, each in both.items()},
        "intervals": {
            reader: by_person(
                each.auc, each.people, purpose=f"real {name} {reader}", resamples=1000
            )
            for reader, each in both.items()
        },
        "gain": {"mean": gain(), "low": low, "high": high},
        "curves": {reader: each.roc() for reader, each in both.items()},
    }


EXPERIMENT = Experiment(
    name="avatar-mismatch",
    title="Avatars: does the avatar show what the person shows?",
    full=FULL,
    mini=MINI,
    tasks=tasks,
    run=run,
    summarise=summarise,
    section=section,
    own_inputs=offers,
    headline=(*MEASURES, "intervals", "difficulty"),
)
