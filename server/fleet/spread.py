"""Figures with their spread as SVG: from the worst to the best, the middle, and the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from server.fleet.charts import LEFT, RIGHT, WIDTH, Told, drawing, grid, height_of, labels

WIDEST_TICK: Final = 14.0
WHOLE: Final = 1.0


@dataclass(frozen=True)
class Spread:
    """One column, figures 0 to 1: the whole, and the least, middle and highest of its parts."""

    label: str
    whole: float
    least: float
    middle: float
    highest: float


def spread_chart(spreads: Sequence[Spread], *, title: str, axis: str, told: Told) -> str:
    """An `<svg>` element with a text alternative.

    Args:
        spreads: at least one, from left to right.
        title: of the drawing.
        axis: what the labels are.
        told: a figure as text.
    """
    step = (WIDTH - LEFT - RIGHT) / len(spreads)
    places = [LEFT + (number + 0.5) * step for number in range(len(spreads))]
    pairs = list(zip(spreads, places, strict=True))
    line = " ".join(f"{x:.1f},{height_of(spread.whole, WHOLE):.1f}" for spread, x in pairs)
    parts = [
        grid(WHOLE, told),
        *(_column(spread, x, min(WIDEST_TICK, step * 0.6), told) for spread, x in pairs),
        f'<polyline class="line" points="{line}"/>',
        labels([spread.label for spread in spreads], step, axis),
    ]
    newest = f"the last, {axis} {_words(spreads[-1], told)}"
    return drawing(title, f"{len(spreads)} columns; {newest}", parts)


def _column(spread: Spread, x: float, width: float, told: Told) -> str:
    least, middle, highest, whole = (
        height_of(value, WHOLE)
        for value in (spread.least, spread.middle, spread.highest, spread.whole)
    )
    left, right = x - width / 2, x + width / 2
    return (
        f"<g><title>{escape(_words(spread, told))}</title>"
        f'<line class="range" x1="{x:.1f}" x2="{x:.1f}" y1="{least:.1f}" y2="{highest:.1f}"/>'
        f'<line class="middle" x1="{left:.1f}" x2="{right:.1f}" y1="{middle:.1f}" '
        f'y2="{middle:.1f}"/>'
        f'<circle class="s0" cx="{x:.1f}" cy="{whole:.1f}" r="3"/></g>'
    )


def _words(spread: Spread, told: Told) -> str:
    return (
        f"{spread.label}: {told(spread.whole)}; users from {told(spread.least)} to "
        f"{told(spread.highest)}, the middle one {told(spread.middle)}"
    )
