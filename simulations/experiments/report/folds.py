"""The part of `folds`: accuracy over five folds and fold by fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulations.experiments.report.parts import NOTHING, Chart, Section, Table, percent
from simulations.experiments.report.parts import with_interval as told
from simulations.report.figures import BLUE, INK, percent_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
SHOWN = ("universal_raw", "universal", "pooled", "local_only", "fine_tune", "personal")
COLUMNS = (
    *("features", "head", "no statistics", "universal", "all data pooled", "own alone"),
    *("fine-tune", "personal"),
    *("UAR universal", "UAR personal", "users harmed"),
)


def section(figures: Mapping[str, Any]) -> Section:
    """Tables and pictures of the experiment's figures."""
    rows: Sequence[Row] = figures["rows"]
    others = ", ".join(f"{p['what']} {p['accuracy']:.2f} %" for p in figures["published"])
    words = (f"For comparison: {others} ({figures['source']}).",)
    notes = (
        "Accuracy in %, mean over users and seeds; in brackets the 95 % interval over users. "
        "Personal heads and own clips alone: from one repetition, tested on the other.",
    )
    whole = Table(
        "Accuracy in %, five folds", COLUMNS, tuple(_cells(row) for row in rows), 2, notes
    )
    return Section(words, (whole, _by_fold(rows)), (_chart(rows),))


def _cells(row: Row) -> tuple[str, ...]:
    found = (row["accuracy"][name] for name in SHOWN)
    means = (told(f["mean"], f["low"], f["high"]) if f else NOTHING for f in found)
    recalls = (percent(row["uar"][name]) for name in ("universal", "personal"))
    return row["features"], row["head"], *means, *recalls, f"{row['harmed']} of {row['users']}"


def _by_fold(rows: Sequence[Row]) -> Table:
    cells = tuple(
        (
            row["features"],
            row["head"],
            fold["fold"],
            ", ".join(user.removeprefix("actor-") for user in fold["users"]),
            percent(fold["universal"]),
            percent(fold["personal"]),
        )
        for row in rows
        for fold in row["folds"]
    )
    columns = ("features", "head", "fold", "actors tested", "universal", "personal")
    return Table("Accuracy in %, fold by fold", columns, cells, 4)


def _chart(rows: Sequence[Row]) -> Chart:
    height = 1.5 + 0.42 * len(rows)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, row in enumerate(rows):
            for name, colour, marker, shift in (
                ("universal", INK, "D", -0.13),
                ("personal", BLUE, "o", 0.13),
            ):
                _line(axes, row, name, place + shift, colour, marker, labelled=place == 0)
        every = [fold[name] for row in rows for fold in row["folds"] for name in ("universal",)]
        floor, ticks = percent_ticks(min(every))
        axes.set_xlim(floor, 1.02)
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_yticks(range(len(rows)), [f"{r['features']}, {r['head']}" for r in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="x")
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_title("Accuracy; a small mark per fold")
        figure.legend(loc="outside lower center", ncols=2)

    words = "; ".join(
        f"{row['features']}, {row['head']}: {percent(row['accuracy']['universal']['mean'])} % "
        f"universal, {percent(row['accuracy']['personal']['mean'])} % personal"
        for row in rows
    )
    return Chart("folds", "Accuracy over five folds", words + ".", (9.6, height), draw)


def _line(
    axes: Axes, row: Row, name: str, place: float, colour: str, marker: str, *, labelled: bool
) -> None:
    found = row["accuracy"][name]
    axes.plot([found["low"], found["high"]], [place] * 2, color=colour, linewidth=1)
    folds = [fold[name] for fold in row["folds"]]
    axes.plot(folds, [place] * len(folds), marker, color=colour, markersize=3.5, alpha=0.5)
    label = name if labelled else "_nolegend_"
    axes.plot(found["mean"], place, marker, color=colour, markersize=8, linestyle="", label=label)
