"""Pictures of `table3`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulations.experiments.report.parts import Chart, percent
from simulations.report.figures import BLUE, INK, MUTED, VERMILLION, percent_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
PROTOCOLS = ("paper", "by-take")
LEGEND: dict[str, Any] = {"loc": "outside lower center", "handletextpad": 0.3}


def accuracy_chart(rows: Sequence[Row], published: Sequence[Row]) -> Chart:
    """Universal and personal accuracy by backbone and head, a panel per protocol."""
    names = list(dict.fromkeys((row["features"], row["head"]) for row in rows))
    found = {(r["features"], r["head"], r["protocol"]): r for r in rows}
    ranges = [row["accuracy"][head]["low"] for row in rows for head in ("universal", "personal")]
    lowest = min([*ranges, *(row["accuracy"]["universal_raw"]["mean"] for row in rows)])

    def draw(figure: Figure, narrow: bool = False) -> None:
        shape = (2, 1) if narrow else (1, 2)
        panels = figure.subplots(*shape, sharey=True, sharex=narrow)
        for axes, protocol in zip(panels, PROTOCOLS, strict=True):
            _panel(axes, [found.get((*name, protocol)) for name in names])
            if protocol == "paper":
                _published(axes, names, published)
            axes.set_title(f"Protocol {protocol}")
            _axes(axes, names, lowest, step=2 if narrow else 1)
        handles = {
            label: handle
            for axes in panels
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), ncols=2 if narrow else 4, **LEGEND)

    height = 1.7 + 0.34 * len(names)
    return Chart(
        "table3-accuracy",
        "Universal and personal accuracy under both protocols",
        _describe(rows),
        (9.6, height),
        draw,
        ((4.8, 2.0 + 0.62 * len(names)), lambda figure: draw(figure, True)),
    )


def _panel(axes: Axes, rows: Sequence[Row | None]) -> None:
    for place, row in enumerate(rows):
        if row is None:
            axes.text(0.5, place, "not run", color=MUTED, va="center", style="italic")
            continue
        universal, personal = (row["accuracy"][head] for head in ("universal", "personal"))
        axes.plot(
            [universal["mean"], personal["mean"]],
            [place] * 2,
            color="#9cc3dd",
            linewidth=3,
            zorder=1,
        )
        looks = ((universal, "D", INK, "universal"), (personal, "o", BLUE, "personal"))
        for found, marker, colour, label in looks:
            axes.plot([found["low"], found["high"]], [place] * 2, color=colour, linewidth=1)
            axes.plot(found["mean"], place, marker, color=colour, label=label, markersize=6)


def _published(axes: Axes, names: Sequence[tuple[str, str]], published: Sequence[Row]) -> None:
    """Crosses beside our points where the backbone is one of the paper's."""
    for place, (features, head) in enumerate(names):
        for row in published:
            if row["head"] == head and features.startswith(row["ours"]):
                axes.plot(
                    [row["universal"] / 100, row["personal"] / 100],
                    [place + 0.28] * 2,
                    "x",
                    color=VERMILLION,
                    label="published: universal, personal",
                )


def _axes(axes: Axes, names: Sequence[tuple[str, str]], lowest: float, step: int) -> None:
    floor, ticks = percent_ticks(lowest)
    axes.set_xlim(floor, 1.02)
    axes.set_xticks(list(ticks)[::-step], list(ticks.values())[::-step])
    axes.set_yticks(range(len(names)), [f"{features}, {head}" for features, head in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.spines[["left", "bottom"]].set_visible(False)


def _describe(rows: Sequence[Row]) -> str:
    told = [
        f"{row['features']}, {row['head']}, {row['protocol']}: "
        f"{percent(row['accuracy']['universal']['mean'])} % to "
        f"{percent(row['accuracy']['personal']['mean'])} %"
        for row in rows
    ]
    return (
        "One line per backbone and head from universal to personal accuracy with 95 % intervals "
        "over users, the published protocol beside the one by take. " + "; ".join(told) + "."
    )


def leak_chart(rows: Sequence[Row]) -> Chart:
    """Personal accuracy on clips with and without their twin among the clips adapted on."""
    names = [(row["features"], row["head"]) for row in rows]
    figures = [row["twin"][head][side] for row in rows for head in ("universal", "personal")
               for side in ("with", "without")]  # fmt: skip
    lowest = min(f["accuracy"] for f in figures if f["clips"])

    def draw(figure: Figure, narrow: bool = False) -> None:
        axes = figure.subplots()
        for place, row in enumerate(rows):
            for head, colour, shift in (("universal", INK, -0.14), ("personal", BLUE, 0.14)):
                _twin_line(axes, row["twin"][head], place + shift, colour, head)
        axes.set_title("Test clips with their twin adapted on (filled), without (hollow)")
        _axes(axes, names, lowest, step=2 if narrow else 1)
        handles, labels = axes.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        figure.legend(once.values(), once.keys(), ncols=2, **LEGEND)

    height = 1.6 + 0.45 * len(rows)
    return Chart(
        "table3-leak",
        "The leak of protocol paper",
        "Accuracy of universal and personal heads on test clips with and without their twin among "
        "the clips adapted on; the table below has all figures.",
        (9.6, height),
        draw,
        ((4.8, height + 0.4), lambda figure: draw(figure, True)),
    )


def _twin_line(axes: Axes, found: Row, place: float, colour: str, head: str) -> None:
    shown = [found[side] for side in ("without", "with") if found[side]["clips"]]
    axes.plot([f["accuracy"] for f in shown], [place] * len(shown), color=colour, linewidth=1)
    for side, face in (("without", "white"), ("with", colour)):
        if found[side]["clips"]:
            axes.plot(
                found[side]["accuracy"],
                place,
                "o" if head == "personal" else "D",
                markerfacecolor=face,
                markeredgecolor=colour,
                markersize=7,
                linestyle="",
                label=f"{head}, {side} twin",
            )
