"""The page's pictures: each figure as inline SVG, wide and, where it needs one, narrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from simulations.report import curves, figures, panels
from simulations.report.confusion import Confusion
from simulations.report.describe import (
    describe_accuracy,
    describe_confusion,
    describe_traffic,
    describe_users,
)
from simulations.report.facts import Results, UserRow, accuracy_rows
from simulations.report.svg import inline_svg
from simulations.report.traffic import Traffic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[["Figure"], None]


@dataclass(frozen=True)
class Picture:
    """Inline SVG for a wide page and, unless it is None, for a phone; `description` in words."""

    wide: Markup
    narrow: Markup | None
    description: str


@dataclass(frozen=True)
class _Words:
    key: str
    title: str
    description: str
    synthetic: bool

    def svg(self, suffix: str, size: tuple[float, float], draw: Draw) -> Markup:
        document = figures.as_svg(*size, draw, synthetic=self.synthetic)
        title = f"SYNTHETIC data: {self.title}" if self.synthetic else self.title
        # Safe: the SVG is serialised from an element tree, which escapes all text.
        return Markup(inline_svg(document, self.key + suffix, title, self.description))


def accuracy_picture(results: Results) -> Picture:
    """Accuracy against own clips."""
    words = _words(
        results, "accuracy", "Accuracy against own clips", describe_accuracy(accuracy_rows(results))
    )

    def draw(figure: Figure, narrow: bool = False) -> None:
        curves.draw_accuracy(figure.subplots(), results, narrow=narrow)

    wide = words.svg("", (9.6, 5.0), draw)
    narrow = words.svg("-narrow", (4.6, 5.2), lambda figure: draw(figure, True))
    return Picture(wide, narrow, words.description)


def users_picture(results: Results, rows: Sequence[UserRow]) -> Picture:
    """Universal and personal accuracy user by user."""
    words = _words(results, "users", "Users, universal and personal", describe_users(rows))
    height = 1.5 + 0.21 * min(len(rows), panels.NAMED_USERS)

    def draw(figure: Figure, narrow: bool = False) -> None:
        panels.draw_users(figure.subplots(), rows, narrow=narrow)

    wide = words.svg("", (9.6, height), draw)
    narrow = words.svg("-narrow", (4.6, height), lambda figure: draw(figure, True))
    return Picture(wide, narrow, words.description)


def confusion_picture(results: Results, key: str, confusion: Confusion) -> Picture:
    """One confusion matrix; small enough for a phone as it is."""
    title = f"Confusion matrix: {confusion.title}"
    words = _words(results, key, title, describe_confusion(confusion))

    def draw(figure: Figure) -> None:
        panels.draw_confusion(figure.subplots(), confusion)

    return Picture(words.svg("", (4.9, 5.0), draw), None, words.description)


def traffic_picture(results: Results, federations: Sequence[Traffic]) -> Picture:
    """Clients and bytes round by round."""
    words = _words(results, "traffic", "Rounds and bytes", describe_traffic(federations))

    def draw(figure: Figure, narrow: bool = False) -> None:
        panels.draw_traffic(figure, federations, narrow=narrow)

    wide = words.svg("", (9.6, 3.0), draw)
    narrow = words.svg("-narrow", (4.6, 7.5), lambda figure: draw(figure, True))
    return Picture(wide, narrow, words.description)


def summary_png(results: Results, confusions: Sequence[Confusion]) -> bytes:
    """1200 x 700 pixels: accuracy against own clips and both confusion matrices."""

    def draw(figure: Figure) -> None:
        panels.draw_summary(figure, results, confusions)

    return figures.as_png(12, 7, draw, synthetic=bool(results["synthetic"]))


def _words(results: Results, key: str, title: str, description: str) -> _Words:
    return _Words(key, title, description, bool(results["synthetic"]))
