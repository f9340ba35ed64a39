"""Stacked bars as SVG, to stand inside a page: colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 520
HEIGHT: Final = 220
LEFT: Final = 58
RIGHT: Final = 8
TOP: Final = 10
BOTTOM: Final = 36
WIDEST_BAR: Final = 34.0
LABEL_SPACE: Final = 44.0
LEAST: Final = 1e-300

Told = Callable[[float], str]


@dataclass(frozen=True)
class Stack:
    """One bar: its label on the axis, and amounts (0 or more) by series from the bottom up."""

    label: str
    amounts: Mapping[str, float]

    @property
    def total(self) -> float:
        """Its height."""
        return sum(self.amounts.values())


def stacked_bars(
    stacks: Sequence[Stack], series: Sequence[str], *, title: str, axis: str, told: Told
) -> str:
    """An `<svg>` element with a text alternative.

    Args:
        stacks: at least one, from left to right.
        series: names in the order of stacking; the n-th is drawn in class `sn`.
        title: of the drawing.
        axis: what the labels are.
        told: an amount as text.
    """
    top = nice_top(max(stack.total for stack in stacks))
    step = (WIDTH - LEFT - RIGHT) / len(stacks)
    parts = [grid(top, told)]
    for place, stack in enumerate(stacks):
        parts.append(_bar(stack, series, LEFT + place * step, step, top, told))
    parts.append(labels([stack.label for stack in stacks], step, axis))
    newest = stacks[-1]
    told_of = f"{len(stacks)} bars; the last, {axis} {newest.label}: {_amounts(newest, told)}"
    return drawing(title, told_of, parts)


def drawing(title: str, told_of: str, parts: Sequence[str]) -> str:
    """An `<svg>` element of its parts, with a title and a description for who can't see it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<desc>{escape(told_of)}</desc>{''.join(parts)}</svg>"
    )


def nice_top(largest: float) -> float:
    """The least 1, 2, 4, 5 or 10 times a power of ten that is not below `largest`; 1 for nothing.

    >>> nice_top(0), nice_top(3), nice_top(38), nice_top(0.07), nice_top(100)
    (1.0, 4.0, 40.0, 0.1, 100.0)
    """
    if not LEAST < largest < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    for factor in (1, 2, 4, 5, 10):
        if factor * power >= largest * (1 - 1e-9):
            return float(f"{factor * power:.12g}")
    return 10 * power


def height_of(amount: float, top: float) -> float:
    """Where an amount lies on the drawing, 0 at its lower edge and `top` at the upper."""
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * amount / top


def grid(top: float, told: Told) -> str:
    """Lines across the drawing, with the amounts at their left."""
    lines = []
    ticks = 4 if f"{top:e}"[0] in "24" else 5
    for tick in range(ticks + 1):
        amount = top * tick / ticks
        y = height_of(amount, top)
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(told(amount))}</text>"
        )
    return "".join(lines)


def _bar(
    stack: Stack, series: Sequence[str], left: float, step: float, top: float, told: Told
) -> str:
    width = min(WIDEST_BAR, step * 0.72 if step > 3 else step)
    x = left + (step - width) / 2
    rectangles, base = [], 0.0
    for number, name in enumerate(series):
        amount = stack.amounts.get(name, 0.0)
        if amount <= 0:
            continue
        upper, lower = height_of(base + amount, top), height_of(base, top)
        rectangles.append(
            f'<rect class="s{number}" x="{x:.1f}" y="{upper:.1f}" width="{width:.1f}" '
            f'height="{max(0.5, lower - upper):.1f}"/>'
        )
        base += amount
    told_of = f"{stack.label}: {_amounts(stack, told)}"
    return f"<g><title>{escape(told_of)}</title>{''.join(rectangles)}</g>"


def _amounts(stack: Stack, told: Told) -> str:
    there = [f"{told(value)} {name}" for name, value in stack.amounts.items() if value > 0]
    return ", ".join(there) or "nothing"


def labels(texts: Sequence[str], step: float, axis: str) -> str:
    """Texts below the drawing, as many as have room, and what they are."""
    every = max(1, math.ceil(LABEL_SPACE / step))
    drawn = [
        f'<text class="tick" x="{LEFT + (place + 0.5) * step:.1f}" y="{HEIGHT - BOTTOM + 15}" '
        f'text-anchor="middle">{escape(text)}</text>'
        for place, text in enumerate(texts)
        if place % every == 0
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    drawn.append(
        f'<text class="axis" x="{middle:.1f}" y="{HEIGHT - 4}" text-anchor="middle">'
        f"{escape(axis)}</text>"
    )
    return "".join(drawn)
