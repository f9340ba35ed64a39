"""The part of `federation`: what each thing varied costs, against the same clips pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from simulations.experiments.report.parts import Chart, Section, Table, with_interval
from simulations.report.figures import GREEN, INK, percent_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Sweep = Mapping[str, Any]
COLUMNS = (
    *("features", "varied", "value", "federated", "pooled", "federated - pooled, points"),
    *("updates a round", "replies lost", "clips trained on"),
)


def section(figures: Mapping[str, Any]) -> Section:
    """Tables and pictures of the experiment's figures."""
    sweeps: Sequence[Sweep] = figures["sweeps"]
    words = (
        "Universal heads, tested by take on users whom they have not seen. Pooled heads are from "
        "the very clips that the federation's devices hold, solved to convergence.",
        *dict.fromkeys(f"{sweep['axis']}: {sweep['meaning']}." for sweep in sweeps),
    )
    notes = (
        "Accuracy in %, mean over users and seeds; in brackets the 95 % interval over users and "
        "seeds. updates a round: mean number of devices whose update counted. replies lost: over "
        "all rounds and folds. clips trained on: mean over folds.",
    )
    rows = tuple(_cells(sweep, row) for sweep in sweeps for row in sweep["rows"])
    table = Table("Federated against pooled", COLUMNS, rows, 3, notes)
    names = dict.fromkeys(sweep["features"] for sweep in sweeps)
    charts = tuple(
        _chart(index, name, [sweep for sweep in sweeps if sweep["features"] == name])
        for index, name in enumerate(names)
    )
    return Section(words, (table,), charts)


def _cells(sweep: Sweep, row: Mapping[str, Any]) -> tuple[str, ...]:
    means = (with_interval(*(row[h][k] for k in ("mean", "low", "high"))) for h in HEADS)
    gap = row["gap"]
    return (
        sweep["features"],
        sweep["axis"],
        row["value"],
        *means,
        f"{100 * gap['mean']:+.1f} ({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f})",
        f"{row['updates_per_round']:.1f}",
        f"{row['replies_lost']:.0f}",
        f"{row['training_clips']:.0f}",
    )


HEADS = ("federated", "pooled")


def _chart(index: int, name: str, sweeps: Sequence[Sweep]) -> Chart:
    every = [row[head]["low"] for sweep in sweeps for row in sweep["rows"] for head in HEADS]

    def draw(figure: Figure, columns: int = 3) -> None:
        lines = -(-len(sweeps) // columns)
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for axes, sweep in zip(grid.flat, sweeps, strict=False):
            _panel(axes, sweep, min(every))
        for axes in list(grid.flat)[len(sweeps) :]:
            axes.set_axis_off()
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)

    gaps = "; ".join(
        f"{sweep['axis']} {row['value']}: {100 * row['gap']['mean']:+.1f} points"
        for sweep in sweeps
        for row in sweep["rows"]
    )
    return Chart(
        f"federation-{index}",
        f"Federated against pooled, {name}",
        f"A panel per thing varied. Federated minus pooled: {gaps}.",
        (9.8, 0.6 + 2.7 * -(-len(sweeps) // 3)),
        draw,
        ((4.6, 0.6 + 2.7 * len(sweeps)), partial(draw, columns=1)),
    )


def _panel(axes: Axes, sweep: Sweep, lowest: float) -> None:
    rows = sweep["rows"]
    looks = (("federated", INK, "D", -0.09, "-"), ("pooled", GREEN, "^", 0.09, "--"))
    ordered = not sweep["axis"].startswith("strategy")
    for head, colour, marker, shift, line in looks:
        places = [place + shift for place in range(len(rows))]
        found = [row[head] for row in rows]
        axes.vlines(
            places, [f["low"] for f in found], [f["high"] for f in found], color=colour, alpha=0.4
        )
        axes.plot(
            places,
            [f["mean"] for f in found],
            marker=marker,
            linestyle=line if ordered else "None",
            color=colour,
            markersize=5,
            linewidth=1.2,
            label={"federated": "federated", "pooled": "the same clips pooled"}[head],
        )
    names = [row["value"] for row in rows]
    long = max(map(len, names)) > 5
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(rows)), names, **(turned if long else {}))
    axes.set_xlim(-0.5, len(rows) - 0.5)
    floor, ticks = percent_ticks(lowest)
    axes.set_ylim(floor, 1.02)
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_title(sweep["axis"])
