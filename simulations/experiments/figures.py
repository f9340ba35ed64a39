"""From predictions to figures: accuracy, macro recall, twins, and intervals by user.

A clip's rightness is the share of draws whose prediction of it was right, so figures over draws are
means over draws. Intervals are percentile bootstraps over users, since clips of one user are not
independent; where there are several seeds, these are resampled, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from common.expressions import EXPRESSIONS
from common.randomness import generator
from simulations.statistics import COVERAGE, RESAMPLES

Record = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
SMALLEST_DIFFERENCE = 1e-12
"""Two accuracies nearer than this are equal."""


def rightness(record: Record, key: str, index: int | None = None) -> Floats:
    """(clips,) share of draws that were right.

    Args:
        record: one user's part: labels and predictions.
        key: of the head.
        index: of the number of own clips, for heads that are measured at several.
    """
    made = [record[key]] if index is None else record[key][index]
    return np.asarray((np.asarray(made) == np.asarray(record["labels"])).mean(axis=0))


def by_user(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records of each user, users sorted."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record["user"], []).append(record)
    return dict(sorted(found.items()))


def user_accuracy(records: Sequence[Record], key: str, index: int | None = None) -> float:
    """Of one user, over the test clips of all of the user's records."""
    return float(np.concatenate([rightness(r, key, index) for r in records]).mean())


def user_recall(records: Sequence[Record], key: str, index: int | None = None) -> float:
    """Mean over the expressions that occur of the share rightly chosen (UAR)."""
    right = np.concatenate([rightness(r, key, index) for r in records])
    labels = np.concatenate([np.asarray(r["labels"]) for r in records])
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def accuracies(runs: Sequence[Sequence[Record]], key: str, index: int | None = None) -> Floats:
    """(users, seeds) accuracy; `runs` are the records of each seed, of the same users."""
    return _grid(runs, user_accuracy, key, index)


def recalls(runs: Sequence[Sequence[Record]], key: str, index: int | None = None) -> Floats:
    """(users, seeds) macro recall."""
    return _grid(runs, user_recall, key, index)


def _grid(runs: Sequence[Sequence[Record]], figure: Any, key: str, index: int | None) -> Floats:
    columns = [[figure(own, key, index) for own in by_user(run).values()] for run in runs]
    return np.array(columns).T


def interval(values: Floats, *, seed: int, purpose: str) -> Interval:
    """95 % interval of the mean of (users, seeds) figures."""
    users, seeds = values.shape
    chooser = generator(seed, f"experiment interval {purpose}")
    rows = chooser.integers(users, size=(RESAMPLES, users))
    columns = chooser.integers(seeds, size=(RESAMPLES, seeds))
    by_seed = values[rows].mean(axis=1)
    return _tails(np.take_along_axis(by_seed, columns, axis=1).mean(axis=1))


def _tails(means: Floats) -> Interval:
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def summary(values: Floats, *, seed: int, purpose: str) -> dict[str, float]:
    """Mean, interval, worst and best user of (users, seeds) figures."""
    low, high = interval(values, seed=seed, purpose=purpose)
    users = values.mean(axis=1)
    return {
        "mean": float(values.mean()),
        "low": low,
        "high": high,
        "worst": float(users.min()),
        "best": float(users.max()),
    }


def harmed(personal: Floats, universal: Floats) -> int:
    """Users whose personal accuracy, mean over seeds, is below their universal one."""
    below = personal.mean(axis=1) < universal.mean(axis=1) - SMALLEST_DIFFERENCE
    return int(below.sum())


def twin_figures(
    runs: Sequence[Sequence[Record]], key: str, index: int | None, *, seed: int
) -> dict[str, dict[str, Any]]:
    """Accuracy over test clips `with` and `without` their twin among the clips adapted on.

    Clips count alike, over users and seeds; intervals resample users. `accuracy` is None where
    there is no such clip.
    """
    return {
        name: _over_clips(runs, key, index, wanted, seed)
        for name, wanted in (("with", True), ("without", False))
    }


def _over_clips(
    runs: Sequence[Sequence[Record]], key: str, index: int | None, wanted: bool, seed: int
) -> dict[str, Any]:
    right: dict[str, float] = {}
    clips: dict[str, int] = {}
    for run in runs:
        for record in run:
            chosen = np.asarray(record["twin"], dtype=bool) == wanted
            user = record["user"]
            right[user] = right.get(user, 0.0) + float(rightness(record, key, index)[chosen].sum())
            clips[user] = clips.get(user, 0) + int(chosen.sum())
    total = sum(clips.values())
    if not total:
        return {"clips": 0, "accuracy": None, "low": None, "high": None}
    users = sorted(right)
    low, high = _ratio_interval(
        np.array([right[u] for u in users]), np.array([clips[u] for u in users]), seed, key
    )
    return {"clips": total, "accuracy": sum(right.values()) / total, "low": low, "high": high}


def _ratio_interval(
    right: Floats, clips: npt.NDArray[np.int64], seed: int, purpose: str
) -> Interval:
    chooser = generator(seed, f"twin interval {purpose}")
    picks = chooser.integers(len(right), size=(RESAMPLES, len(right)))
    totals = clips[picks].sum(axis=1)
    some = totals > 0
    return _tails(right[picks].sum(axis=1)[some] / totals[some])


def confusion(
    runs: Sequence[Sequence[Record]], key: str, index: int | None = None
) -> list[list[float]]:
    """Counts of test clips, rows shown and columns chosen; each clip counts once per seed."""
    counts = np.zeros((len(EXPRESSIONS), len(EXPRESSIONS)))
    for run in runs:
        for record in run:
            made = [record[key]] if index is None else record[key][index]
            for chosen in made:
                np.add.at(counts, (record["labels"], chosen), 1 / len(made))
    rows: list[list[float]] = counts.tolist()
    return rows
