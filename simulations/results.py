"""From the devices' own measurements to `results.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UsageError
from common.files import write_atomically
from simulations.statistics import (
    accuracy,
    calibration_error,
    interval_by_user,
    macro_recall,
    mean,
)

SCHEMA = "mien-results/1"
SINGLE = ("universal", "universal_raw", "pooled")
CURVES = ("personal", "local_only")
"""Figures per number of own clips; peers that were tested too stand beside them."""
CALIBRATED = ("universal", *CURVES)
BINS = 15

Record = dict[str, Any]
Figure = Callable[[Sequence[int], Sequence[int]], float]


def user_figures(records: Sequence[Record], counts: int, figure: Figure) -> Record:
    """One user's figures over all test clips of the user's records.

    Args:
        records: the user's parts, each with labels and every head's predictions.
        counts: how many numbers of own clips were tried.
        figure: accuracy or macro recall.
    """
    labels = [label for record in records for label in record["labels"]]
    single = {
        name: figure(labels, [c for record in records for c in record[name]]) for name in SINGLE
    }
    curves = {
        name: [_over_draws(records, labels, name, index, figure) for index in range(counts)]
        for name in curve_names(records)
    }
    draws = range(min(len(record["resting_stream"]) for record in records))
    resting = [
        figure(labels, [c for record in records for c in record["resting_stream"][draw]])
        for draw in draws
    ]
    return {**single, **curves, "resting_stream": float(np.mean(resting))}


def curve_names(records: Sequence[Record]) -> tuple[str, ...]:
    """`CURVES`, and the peers that all of the records (at least one) hold."""
    held = [list(record.get("confidence", {})) for record in records]
    peers = (name for name in held[0] if name not in CALIBRATED and all(name in h for h in held))
    return (*CURVES, *peers)


def _over_draws(
    records: Sequence[Record], labels: Sequence[int], name: str, index: int, figure: Figure
) -> float:
    draws = max(len(record[name][index]) for record in records)
    values = []
    for draw in range(draws):
        chosen: list[int] = []
        for record in records:
            made = record[name][index]
            chosen += made[draw if len(made) > 1 else 0]
        values.append(figure(labels, chosen))
    return float(np.mean(values))


def summarise(
    by_user: Mapping[str, Sequence[Record]], own_clips: Sequence[int], *, seed: int
) -> Record:
    """`accuracy`, `uar`, `intervals`, `spread`, `users`, `users_harmed`, `resting_stream`, and
    where the records hold confidences `calibration_error` and `personal_in_use`.
    """
    counts = len(own_clips)
    exact = {user: user_figures(r, counts, accuracy) for user, r in by_user.items()}
    recall = {user: user_figures(r, counts, macro_recall) for user, r in by_user.items()}
    users = [
        {
            "user": user,
            "clips": sum(len(record["labels"]) for record in by_user[user]),
            **{k: v for k, v in figures.items() if k != "resting_stream"},
        }
        for user, figures in exact.items()
    ]
    return {
        "accuracy": {"own_clips": list(own_clips), **_means(exact)},
        "uar": {"own_clips": list(own_clips), **_means(recall)},
        "intervals": _intervals(exact, seed),
        "spread": _spread(exact),
        "resting_stream": {
            "universal": mean(f["resting_stream"] for f in exact.values()),
            "universal_raw": mean(f["universal_raw"] for f in exact.values()),
        },
        "users": users,
        "users_harmed": [
            sum(f["personal"][i] < f["universal"] - 1e-12 for f in exact.values())
            for i in range(counts)
        ],
        **_calibration([record for r in by_user.values() for record in r], counts),
    }


def _calibration(records: Sequence[Record], counts: int) -> Record:
    if not all("confidence" in record for record in records):
        return {}
    errors: Record = {"bins": BINS, "universal": _calibration_error(records, "universal", None)}
    for name in curve_names(records):
        errors[name] = [_calibration_error(records, name, index) for index in range(counts)]
    used = [
        float(np.mean([flag for record in records for flag in record["personal_in_use"][index]]))
        for index in range(counts)
    ]
    return {"calibration_error": errors, "personal_in_use": used}


def _calibration_error(records: Sequence[Record], name: str, index: int | None) -> float:
    """Over all users' test clips and draws of own clips."""
    right: list[bool] = []
    confidence: list[float] = []
    for record in records:
        made, sure = record[name], record["confidence"][name]
        draws = zip(made[index], sure[index], strict=True) if index is not None else [(made, sure)]
        for chosen, shares in draws:
            right += [c == label for c, label in zip(chosen, record["labels"], strict=True)]
            confidence += shares
    return calibration_error(right, confidence, bins=BINS)


def _columns(figures: Mapping[str, Record]) -> dict[str, np.ndarray[Any, Any]]:
    """Each figure over users: (users,) or (users, numbers of own clips)."""
    first = next(iter(figures.values()))
    names = [name for name in first if name != "resting_stream"]
    return {name: np.array([row[name] for row in figures.values()]) for name in names}


def _means(figures: Mapping[str, Record]) -> Record:
    return {name: column.mean(axis=0).tolist() for name, column in _columns(figures).items()}


def _intervals(figures: Mapping[str, Record], seed: int) -> Record:
    result: Record = {"level": 0.95, "method": "percentile bootstrap over users"}
    for name, column in _columns(figures).items():
        if column.ndim == 1:
            result[name] = list(interval_by_user(column, seed=seed, purpose=name))
        else:
            result[name] = [
                list(interval_by_user(values, seed=seed, purpose=f"{name} {index}"))
                for index, values in enumerate(column.T)
            ]
    return result


def _spread(figures: Mapping[str, Record]) -> Record:
    """Worst, median and best user."""
    return {
        name: {
            "worst": column.min(axis=0).tolist(),
            "median": np.median(column, axis=0).tolist(),
            "best": column.max(axis=0).tolist(),
        }
        for name, column in _columns(figures).items()
    }


def save_results(folder: Path, results: Record) -> None:
    """Write `results.json` into `folder`, wholly or not at all.

    Raises:
        UsageError: the folder can't be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            folder / "results.json", json.dumps(results, indent=1).encode(), mode=0o644
        )
    except OSError as error:
        raise UsageError(f"{folder}: results can't be written there ({error.strerror})") from error
