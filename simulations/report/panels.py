"""Draws confusion matrices, users and traffic, and the summary picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from common.expressions import EXPRESSIONS
from simulations.report.confusion import Confusion, count_text
from simulations.report.curves import draw_accuracy
from simulations.report.facts import Results, UserRow
from simulations.report.figures import BLUE, GREEN, INK, MUTED, PURPLE, VERMILLION, percent_ticks
from simulations.report.traffic import Traffic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED_USERS: Final = 60
"""Up to so many users have a line with their name; more share the same height without names."""
LONGEST_NAME: Final = 16
CENTRED: Final[dict[str, Any]] = {"ha": "center", "va": "center"}
LINES: Final = tuple(
    (dashes, colour)
    for dashes in ("-", "--", ":")
    for colour in (BLUE, VERMILLION, GREEN, PURPLE, INK)
)
"""How federations are told apart; where there are more, all look the same."""


def draw_confusion(axes: Axes, confusion: Confusion, *, counts: bool = True) -> None:
    """One confusion matrix: share of each row in percent, and the count below it."""
    shares = confusion.shares
    size = len(EXPRESSIONS)
    axes.pcolormesh(
        np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1.15, edgecolor="white", linewidth=1.2
    )
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            count = count_text(float(confusion.counts[row, column])) if counts else ""
            _cell(axes, row, column, float(share), count)
    for row in np.flatnonzero(confusion.totals == 0):
        axes.text(size / 2, row + 0.5, "no clips", **CENTRED, color=MUTED, style="italic")
    axes.set_aspect("equal")
    axes.set_ylim(size, 0)
    middles = np.arange(size) + 0.5
    axes.set_xticks(middles, EXPRESSIONS, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(middles, EXPRESSIONS)
    axes.set_xlabel("expression that the head chose")
    axes.set_ylabel("expression that was shown")
    axes.spines[:].set_visible(False)
    axes.set_title(f"{confusion.title}, % of each row")


def _cell(axes: Axes, row: int, column: int, share: float, count: str) -> None:
    colour = "white" if share > 0.6 else INK
    middle = row + (0.4 if count else 0.5)
    axes.text(column + 0.5, middle, f"{100 * share:.0f}", **CENTRED, color=colour)
    if count:
        axes.text(column + 0.5, row + 0.76, count, **CENTRED, color=colour, size=6.8)


def draw_users(axes: Axes, rows: Sequence[UserRow], *, narrow: bool = False) -> None:
    """Each user's universal and personal accuracy on one line; users harmed are marked."""
    small = max(0.25, min(1.0, 30 / len(rows)))
    harmed = np.array([row.harmed for row in rows])
    universal = np.array([row.universal for row in rows])
    personal = np.array([row.personal for row in rows])
    for mask, colour in ((~harmed, "#9cc3dd"), (harmed, VERMILLION)):
        places = np.flatnonzero(mask)
        axes.hlines(places, universal[mask], personal[mask], color=colour, linewidth=3 * small)
    hollow: dict[str, Any] = {"facecolor": "white", "edgecolor": INK, "linewidths": 1.2 * small}
    layers: tuple[tuple[Any, Any, int, str, str, dict[str, Any]], ...] = (
        (np.full(len(rows), True), universal, 38, "D", "universal", hollow),
        (~harmed, personal, 46, "o", "personal", {"color": BLUE}),
        (harmed, personal, 64, "X", "personal, user harmed", {"color": VERMILLION}),
    )
    for layer, (mask, values, size, marker, label, look) in enumerate(layers, start=3):
        if mask.any():
            places = np.flatnonzero(mask)
            axes.scatter(
                values[mask],
                places,
                s=size * small,
                marker=marker,
                label=label,
                zorder=layer,
                **look,
            )
    _user_axis(axes, rows, step=2 if narrow else 1)
    axes.figure.legend(loc="outside lower center", ncols=3, handletextpad=0.2, columnspacing=1.2)


def _user_axis(axes: Axes, rows: Sequence[UserRow], step: int) -> None:
    named = rows if len(rows) <= NAMED_USERS else ()
    axes.set_yticks(range(len(named)), [_short(row.user) for row in named])
    if not named:
        axes.set_ylabel(f"{len(rows)} users, lowest universal accuracy first")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    floor, ticks = percent_ticks(min(min(row.universal, row.personal) for row in rows))
    axes.set_xlim(floor, 1.02)
    axes.set_xticks(list(ticks)[::-step], list(ticks.values())[::-step])
    axes.grid(axis="x")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_title("Accuracy")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def draw_traffic(figure: Figure, federations: Sequence[Traffic], *, narrow: bool = False) -> None:
    """Clients, bytes and cumulative bytes against rounds: three panels, a line per federation."""
    panels = figure.subplots(*((3, 1) if narrow else (1, 3)))
    shown = (("clients", "Devices that sent"), ("bytes", "Sent per round"))
    for axes, (name, title) in zip(panels, (*shown, ("cumulative", "Sent so far")), strict=True):
        _traffic_panel(axes, federations, name, title)
    if 1 < len(federations) <= len(LINES):
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2 if narrow else 4)


def _traffic_panel(axes: Axes, federations: Sequence[Traffic], name: str, title: str) -> None:
    columns = [[getattr(entry, name) for entry in f.rounds] for f in federations]
    size, unit = (1.0, "") if name == "clients" else _unit(max(map(max, columns)))
    for index, (federation, column) in enumerate(zip(federations, columns, strict=True)):
        line, colour = LINES[index] if len(federations) <= len(LINES) else ("-", MUTED)
        axes.plot(
            [entry.number for entry in federation.rounds],
            np.array(column) / size,
            line,
            color=colour,
            marker=".",
            markersize=4,
            linewidth=1.3,
            label=federation.title,
        )
    axes.margins(y=0.12)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.set_title(title + unit)
    axes.set_xlabel("round")
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6, integer=True)
    axes.locator_params(axis="y", nbins=5)


def _unit(largest: int) -> tuple[float, str]:
    units = ((1e9, ", GB"), (1e6, ", MB"), (1e3, ", kB"))
    return next((unit for unit in units if largest >= unit[0]), (1.0, ", bytes"))


def draw_summary(figure: Figure, results: Results, confusions: Sequence[Confusion]) -> None:
    """Accuracy on the left, both confusion matrices on the right."""
    sides: Any = figure.subfigures(1, 2, width_ratios=(1.75, 1))
    draw_accuracy(sides[0].subplots(), results)
    panels = sides[1].subplots(2, 1)
    for axes, confusion in zip(panels, confusions, strict=True):
        draw_confusion(axes, confusion, counts=False)
    panels[0].set_xlabel("")
