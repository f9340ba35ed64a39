"""The part of `figures3-4`: confusion matrices, universal beside personal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from common.expressions import EXPRESSIONS
from simulations.experiments.report.parts import (
    NOTHING,
    Chart,
    Section,
    Table,
    accepted_leaks,
    percent,
)
from simulations.report.confusion import Confusion
from simulations.report.describe import describe_confusion
from simulations.report.panels import draw_confusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panel = Mapping[str, Any]
HEADS = ("universal", "personal")


def section(figures: Mapping[str, Any]) -> Section:
    """Tables and pictures of the experiment's figures."""
    panels: Sequence[Panel] = figures["panels"]
    words = (
        "Each row is an expression that was shown, each column one that the head chose. Large "
        "numbers are percent of the row, small ones clips; clips of all users and seeds count "
        "alike, those of personal heads from all clips that a user adapts on.",
        *accepted_leaks(panels),
    )
    charts = tuple(_chart(index, panel) for index, panel in enumerate(panels))
    return Section(words, (_recalls(panels),), charts)


def _confusions(panel: Panel) -> list[Confusion]:
    name = f"{panel['features']}, {panel['head']}"
    return [Confusion(f"{head}: {name}", np.array(panel[head])) for head in HEADS]


def _chart(index: int, panel: Panel) -> Chart:
    pair = _confusions(panel)

    def draw(figure: Figure, narrow: bool = False) -> None:
        grid = figure.subplots(*((2, 1) if narrow else (1, 2)))
        for axes, confusion, head in zip(grid, pair, HEADS, strict=True):
            draw_confusion(axes, confusion)
            axes.set_title(f"{head}, % of each row")

    return Chart(
        f"figures3-4-{index}",
        f"{panel['features']}, {panel['head']} head, protocol {panel['protocol']}",
        " ".join(describe_confusion(confusion) for confusion in pair),
        (9.8, 5.0),
        draw,
        ((4.9, 9.8), partial(draw, narrow=True)),
    )


def _recalls(panels: Sequence[Panel]) -> Table:
    rows = []
    for panel in panels:
        for head, confusion in zip(HEADS, _confusions(panel), strict=True):
            right = [_share(confusion, label) for label in range(len(EXPRESSIONS))]
            recall = percent(panel["uar"][head])
            about = panel["features"], panel["protocol"], panel["head"]
            rows.append((*about, head, *right, recall))
    return Table(
        "Share of each expression's clips that were recognised, %",
        ("features", "protocol", "head", "made for", *EXPRESSIONS, "UAR"),
        tuple(rows),
        4,
        ("UAR: mean over the expressions, user by user.",),
    )


def _share(confusion: Confusion, label: int) -> str:
    share = float(confusion.shares[label, label])
    return NOTHING if np.isnan(share) else percent(share)
