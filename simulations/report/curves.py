"""Draws accuracy against own clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simulations.report.facts import Results, Row, accuracy_rows, percent
from simulations.report.figures import LOOKS, percent_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_accuracy(axes: Axes, results: Results, *, narrow: bool = False) -> None:
    """Accuracy against own clips: curves with their intervals, users as dots, flat lines."""
    rows = accuracy_rows(results)
    counts = results["accuracy"]["own_clips"]
    _users_as_dots(axes, results)
    for shift, key in enumerate(("universal_raw", "universal", "pooled"), start=-1):
        row = next(row for row in rows if row.key == key)
        _flat_line(axes, row, 0.07 * shift, len(counts))
    for key in ("local_only", "personal"):
        _curve(axes, [row for row in rows if row.key == key])
    axes.set_xlim(-0.35, len(counts) + 0.42)
    axes.set_xticks(range(len(counts) + 1), ["0", *map(str, counts)])
    axes.set_xlabel("own labelled clips per expression")
    _percent_axis(axes, rows)
    axes.set_title("Accuracy, mean over users")
    if narrow:
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.14), ncols=2, fontsize=9)
    else:
        _direct_labels(axes, rows)


def _curve(axes: Axes, rows: Sequence[Row]) -> None:
    look = LOOKS[rows[0].key]
    places = np.arange(1, len(rows) + 1)
    means = [row.accuracy for row in rows]
    low, high = [row.low for row in rows], [row.high for row in rows]
    axes.fill_between(places, low, high, color=look.colour, alpha=0.16, linewidth=0)
    if len(rows) == 1:
        axes.vlines(places, low, high, color=look.colour, linewidth=5, alpha=0.3)
    axes.plot(
        places,
        means,
        look.line,
        color=look.colour,
        marker=look.marker,
        markersize=6.5,
        markeredgecolor="white",
        linewidth=2.2,
        label=look.label,
        zorder=5,
    )


def _flat_line(axes: Axes, row: Row, shift: float, end: int) -> None:
    look = LOOKS[row.key]
    axes.plot([shift, end], [row.accuracy] * 2, look.line, color=look.colour, linewidth=1.2)
    axes.vlines(shift, row.low, row.high, color=look.colour, linewidth=4, alpha=0.3)
    axes.plot(
        [shift],
        [row.accuracy],
        look.line,
        color=look.colour,
        marker=look.marker,
        markersize=6,
        markeredgecolor="white",
        linewidth=1.4,
        label=look.label,
        zorder=4,
    )


def _users_as_dots(axes: Axes, results: Results) -> None:
    """Personal to the right of its place, own clips alone to the left, piled where they agree."""
    for key, side in (("local_only", -1), ("personal", 1)):
        values = np.array([user[key] for user in results["users"]])
        for index, column in enumerate(values.T, start=1):
            few = min(1.0, 60 / len(column))
            offsets = index + side * (0.075 + swarm(column))
            axes.scatter(
                offsets,
                column,
                s=5 + 4 * few,
                marker=LOOKS[key].marker,
                color=LOOKS[key].colour,
                alpha=0.16 + 0.22 * few,
                linewidths=0,
                zorder=2,
            )


def swarm(values: npt.ArrayLike, *, bins: int = 60, widest: float = 0.3) -> npt.NDArray[np.float64]:
    """Offsets from 0 to `widest` that keep equal values apart: rank within a bin of 0..1.

    Args:
        values: (n,) shares, 0..1.
        bins: how finely "equal" is meant.
        widest: no dot lies further out, however many there are.
    """
    binned = np.rint(np.asarray(values) * bins).astype(int)
    ranks = np.zeros(len(binned))
    for value in np.unique(binned):
        alike = np.flatnonzero(binned == value)
        ranks[alike] = np.arange(len(alike))
    step = min(0.03, widest / max(ranks.max(initial=0.0), 1.0))
    return np.asarray(ranks * step)


def _percent_axis(axes: Axes, rows: Sequence[Row]) -> None:
    lowest = min(min(row.worst, row.low) for row in rows if row.key != "universal_raw")
    floor, ticks = percent_ticks(min(lowest, *(row.low for row in rows)))
    axes.set_ylim(floor, 1.02)
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)


def _direct_labels(axes: Axes, rows: Sequence[Row]) -> None:
    """Each line's name and last value at its right end, moved apart where they would overlap."""
    ends = {row.key: row for row in rows}
    low, high = axes.get_ylim()
    places = spread_out([row.accuracy for row in ends.values()], 0.06 * (high - low), low, high)
    right = axes.get_xlim()[1]
    last = max(range(len(rows)), key=lambda index: rows[index].own_clips)
    end = [row.key for row in rows].count(rows[last].key) + 0.04
    for row, place in zip(ends.values(), places, strict=True):
        look = LOOKS[row.key]
        axes.plot(
            [end, right - 0.04],
            [row.accuracy, place],
            color=look.colour,
            linewidth=0.6,
            clip_on=False,
        )
        axes.text(
            right,
            place,
            f"{look.label} {percent(row.accuracy)}",
            color=look.colour,
            va="center",
            weight="bold" if row.key == "personal" else "normal",
        )


def spread_out(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near `values`, in their order, `gap` or more apart, in range if there is room."""
    order = np.argsort(values, kind="stable")
    steps = gap * np.arange(len(values))
    raised = np.maximum.accumulate(np.asarray(values)[order] - steps) + steps
    ceiling = high - steps[::-1]
    places = np.empty(len(values))
    places[order] = np.maximum(np.minimum(raised, ceiling), low + steps)
    return [float(place) for place in places]
