"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simulations.expression_models.faces import Labels
from simulations.report.figures import INK, as_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DARK = 0.6


def confusion_png(counts: Labels, classes: Sequence[str], title: str, *, synthetic: bool) -> bytes:
    """A PNG file: share of each row in percent, and the count below it.

    Args:
        counts: (classes, classes), row shown, column chosen.
        classes: their names.
        title: above the matrix.
        synthetic: whether the picture is marked so.
    """
    side = 2.6 + 0.55 * len(classes)
    return as_png(
        side, side + 0.3, lambda figure: _draw(figure, counts, classes, title), synthetic=synthetic
    )


def _draw(figure: Figure, counts: Labels, classes: Sequence[str], title: str) -> None:
    axes = figure.subplots()
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / totals
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1.15, edgecolor="white", linewidth=1.2)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            share = float(shares[row, column])
            colour = "white" if share > _DARK else INK
            text = f"{100 * share:.0f}\n({count})"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour, size=8)
    middles = np.arange(len(classes)) + 0.5
    axes.set_ylim(len(classes), 0)
    axes.set_aspect("equal")
    axes.set_xticks(middles, classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(middles, classes)
    axes.set_xlabel("expression that the network chose")
    axes.set_ylabel("expression that was shown")
    axes.spines[:].set_visible(False)
    axes.set_title(title)
