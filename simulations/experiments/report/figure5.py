"""The part of `figure5`: curves against own clips, a panel per head and protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from simulations.experiments.report.parts import (
    NOTHING,
    Chart,
    Section,
    Table,
    accepted_leaks,
    percent,
    with_interval,
)
from simulations.report.figures import BLUE, GREEN, INK, PURPLE, VERMILLION, Look, percent_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panel = Mapping[str, Any]
LOOKS = {
    "personal": Look("personal", BLUE, "o", "-"),
    "common": Look("one common head, adapted to all test users", GREEN, "^", "--"),
    "fine_tune": Look("personal, the paper's fine-tuning", PURPLE, "v", "-."),
    "local_only": Look("own clips alone", VERMILLION, "s", ":"),
}
COLUMNS = (
    *("features", "protocol", "head", "own clips", "personal", "common"),
    *("fine-tune", "own alone"),
    "users harmed",
)


def section(figures: Mapping[str, Any]) -> Section:
    """Tables and pictures of the experiment's figures."""
    panels: Sequence[Panel] = figures["panels"]
    groups: dict[tuple[str, str], list[Panel]] = {}
    for panel in panels:
        groups.setdefault((panel["features"], panel["protocol"]), []).append(panel)
    words = (
        f"{figures['published']} ({figures['source']}.)",
        "Protocol paper leaks: with twins of a take in the data, growth against own clips is in "
        "part the growing chance that a test clip's twin is among them.",
        *(_reach(some) for some in groups.values()),
        *accepted_leaks(panels),
    )
    rows = tuple(row for panel in panels for row in _rows(panel))
    notes = (
        "Accuracy in %, mean over users and seeds; in brackets the 95 % interval over users and "
        "seeds. k own clips means k of each expression, or all there are.",
        "users harmed: users whose personal head is below their universal one.",
    )
    table = Table("Accuracy in % against own clips per expression", COLUMNS, rows, 3, notes)
    charts = tuple(_chart(index, *group) for index, group in enumerate(groups.items()))
    return Section(words, (table,), charts)


def _reach(panels: Sequence[Panel]) -> str:
    first = panels[0]
    return (
        f"{first['features']}, protocol {first['protocol']}: {first['users']} users, "
        f"{first['seeds']} seed(s); at most {first['most_own_clips']} clips of an expression are "
        "there to adapt on."
    )


def _rows(panel: Panel) -> list[tuple[str, ...]]:
    about = panel["features"], panel["protocol"], panel["head"]
    universal = _cell(panel["universal"])
    rows: list[tuple[str, ...]] = [(*about, "0", universal, universal, universal, NOTHING, NOTHING)]
    for index, count in enumerate(panel["own_clips"]):
        lines = (panel["lines"].get(name) for name in LOOKS)
        cells = (_cell(line[index]) if line else NOTHING for line in lines)
        rows.append((*about, str(count), *cells, f"{panel['harmed'][index]} of {panel['users']}"))
    return rows


def _cell(found: Mapping[str, float]) -> str:
    return with_interval(found["mean"], found["low"], found["high"])


def _chart(index: int, name: tuple[str, str], panels: Sequence[Panel]) -> Chart:
    features, protocol = name
    lows = [p["low"] for panel in panels for line in panel["lines"].values() for p in line]
    lowest = min([*lows, *(panel["universal"]["low"] for panel in panels)])

    def draw(figure: Figure, narrow: bool = False) -> None:
        shape = (len(panels), 1) if narrow else (1, len(panels))
        grid = figure.subplots(*shape, sharey=True, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=True):
            _draw_panel(axes, panel, lowest)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=1 if narrow else 3)

    return Chart(
        f"figure5-{index}",
        f"Accuracy against own clips, {features}, protocol {protocol}",
        _describe(panels),
        (9.6, 4.2),
        draw,
        ((4.6, 1.2 + 2.9 * len(panels)), partial(draw, narrow=True)),
    )


def _draw_panel(axes: Axes, panel: Panel, lowest: float) -> None:
    universal = panel["universal"]
    places = [0, *panel["own_clips"]]
    for name, look in LOOKS.items():
        if name not in panel["lines"]:
            continue
        start = [] if name == "local_only" else [universal]
        line = [*start, *panel["lines"][name]]
        shown = places[len(places) - len(line) :]
        low, high = [p["low"] for p in line], [p["high"] for p in line]
        axes.fill_between(shown, low, high, color=look.colour, alpha=0.13, linewidth=0)
        axes.plot(
            shown,
            [p["mean"] for p in line],
            look.line,
            color=look.colour,
            marker=look.marker,
            markersize=5,
            markeredgecolor="white",
            linewidth=2,
            label=look.label,
        )
    axes.axhline(
        universal["mean"], color=INK, linewidth=0.9, linestyle=(0, (1, 2)), label="universal"
    )
    floor, ticks = percent_ticks(lowest)
    axes.set_ylim(floor, 1.02)
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_xticks(places if len(places) < 8 else places[::2])
    axes.set_xlabel("own clips per expression")
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_title(panel["head"])


def _describe(panels: Sequence[Panel]) -> str:
    told = []
    for panel in panels:
        ends = ", ".join(
            f"{LOOKS[name].label} {percent(line[-1]['mean'])} %"
            for name, line in panel["lines"].items()
        )
        start = percent(panel["universal"]["mean"])
        told.append(f"{panel['head']} from {start} % to {ends} at {panel['own_clips'][-1]}")
    return "Accuracy against own clips per expression with 95 % bands. " + "; ".join(told) + "."
