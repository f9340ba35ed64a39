"""Figures of identification in the loop: how often it is right, and what its errors cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from simulations.statistics import accuracy, interval_by_user, macro_recall, mean

Record = dict[str, Any]
Figure = Callable[[Sequence[int], Sequence[int]], float]
HEADS: Final = {"given": "personal", "identified": "personal_identified"}
"""What figures call the predictions, and what records do."""
MOST_MISTAKES: Final = 10


def identification_figures(
    by_user: Mapping[str, Sequence[Record]],
    own_clips: Sequence[int],
    *,
    alone: Collection[str],
    seed: int,
) -> Record:
    """Figures of records that `close_loop` added to, one per number of own clips.

    Args:
        by_user: at least one record of each user.
        own_clips: numbers that were tried.
        alone: users who share their device with nobody.
        seed: of intervals.

    Returns:
        `right`, `unknown` and `another`: shares of test clips, together 1. `strangers_taken`: the
        share that is taken for somebody where their own user is not enrolled; None where nobody
        shares a device. `accuracy` and `uar`: of personal heads with the identity `given` and with
        it `identified`. `loss`: accuracy given less accuracy identified. All are means over users
        of means over draws; `users` has each user's, `intervals` are of the means over users, and
        `mistakes` are the most frequent at the most own clips.
    """
    counts = range(len(own_clips))
    users = {
        user: [_user_figures(user, records, index) for index in counts]
        for user, records in by_user.items()
    }
    names = list(next(iter(users.values()))[0])
    table = {n: np.array([[row[n] for row in rows] for rows in users.values()]) for n in names}
    means = {name: values.mean(axis=0).tolist() for name, values in table.items()}
    together = [index for index, user in enumerate(users) if user not in alone]
    strangers = table["strangers_taken"][together].mean(axis=0).tolist() if together else None
    return {
        "own_clips": list(own_clips),
        **{name: means[name] for name in ("right", "unknown", "another", "loss")},
        "strangers_taken": strangers,
        "accuracy": {head: means[head] for head in HEADS},
        "uar": {head: means[f"{head}_uar"] for head in HEADS},
        "intervals": _intervals(table, seed),
        "users": [
            {"user": user, **{name: [row[name] for row in rows] for name in names}}
            for user, rows in users.items()
        ],
        "mistakes": _mistakes(by_user),
    }


def _user_figures(user: str, records: Sequence[Record], index: int) -> dict[str, float]:
    taken = _all(records, "identified", index)
    strange = _all(records, "stranger", index)
    figures = {
        "right": mean(name == user for name in taken),
        "unknown": mean(name is None for name in taken),
        "another": mean(name not in (None, user) for name in taken),
        "strangers_taken": mean(name is not None for name in strange),
    }
    for head, key in HEADS.items():
        figures[head] = _over_draws(records, key, index, accuracy)
        figures[f"{head}_uar"] = _over_draws(records, key, index, macro_recall)
    return {**figures, "loss": figures["given"] - figures["identified"]}


def _all(records: Sequence[Record], key: str, index: int) -> list[str | None]:
    """Of all records, draws and clips."""
    return [name for record in records for draw in record[key][index] for name in draw]


def _over_draws(records: Sequence[Record], key: str, index: int, figure: Figure) -> float:
    labels = [label for record in records for label in record["labels"]]
    values = []
    for draw in range(max(len(record[key][index]) for record in records)):
        chosen: list[int] = []
        for record in records:
            made = record[key][index]
            chosen += made[draw if len(made) > 1 else 0]
        values.append(figure(labels, chosen))
    return mean(values)


def _intervals(table: Mapping[str, np.ndarray[Any, Any]], seed: int) -> Record:
    """By the resamples of users that the personal heads' own interval is from."""
    shown = ("right", "loss", *HEADS)
    return {
        name: [
            list(interval_by_user(values, seed=seed, purpose=f"personal {index}"))
            for index, values in enumerate(table[name].T)
        ]
        for name in shown
    }


def _mistakes(by_user: Mapping[str, Sequence[Record]]) -> list[Record]:
    """Share of a user's test clips at the most own clips that were taken for each other user."""
    found = []
    for user, records in by_user.items():
        taken = _all(records, "identified", -1)
        counts = Counter(name for name in taken if name not in (None, user))
        found += [(count / len(taken), user, name) for name, count in counts.items()]
    worst = sorted(found, key=lambda each: (-each[0], each[1], str(each[2])))[:MOST_MISTAKES]
    return [{"user": user, "taken_for": name, "share": share} for share, user, name in worst]
