"""House style of the report's figures, and drawings as SVG or PNG.

The only module that imports matplotlib, and only when something is drawn. Colours follow Okabe and
Ito, to be told apart by all common kinds of colour vision; a marker, a line style or a number
always says the same as the colour.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1b1f24", "#57606a", "#e3e6ea"
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#007A5A", "#AA4499"
STYLE: Final[dict[str, Any]] = {
    "svg.hashsalt": "mien",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#8c959f",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.dpi": 100,
}


@dataclass(frozen=True)
class Look:
    """How one head is drawn."""

    label: str
    colour: str
    marker: str
    line: str


LOOKS: Final = {
    "personal": Look("personal", BLUE, "o", "-"),
    "local_only": Look("own clips alone", VERMILLION, "s", "-"),
    "pooled": Look("universal, pooled", GREEN, "^", "--"),
    "universal": Look("universal, federated", INK, "D", "-"),
    "universal_raw": Look("universal, raw", PURPLE, "v", ":"),
}


@contextmanager
def _drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure in the house style, whatever the user's own matplotlib settings are."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", STYLE]), warnings.catch_warnings():
        # Names may need letters that the bundled font lacks; the page's own fonts have them.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        yield Figure(figsize=(width, height), layout="constrained")


def as_svg(width: float, height: float, draw: Callable[[Figure], None], *, synthetic: bool) -> str:
    """Draw on a figure of `width` x `height` inches; return the SVG document."""
    buffer = io.StringIO()
    with _drawing(width, height) as figure:
        draw(figure)
        _mark(figure, synthetic)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    return buffer.getvalue()


def as_png(
    width: float, height: float, draw: Callable[[Figure], None], *, synthetic: bool
) -> bytes:
    """Draw on a figure of `width` x `height` inches at 100 dots per inch; return the PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    with _drawing(width, height) as figure:
        FigureCanvasAgg(figure)
        draw(figure)
        _mark(figure, synthetic)
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def _mark(figure: Figure, synthetic: bool) -> None:
    if synthetic:
        figure.suptitle(
            "SYNTHETIC DATA", x=0.01, ha="left", size=10, weight="bold", color="#9a3412"
        )


def percent_ticks(lowest: float) -> tuple[float, dict[float, str]]:
    """Where an axis of shares starts, a full tenth below `lowest`, and its ticks with labels."""
    floor = max(0, int(np.floor(10 * lowest - 0.3)))
    return floor / 10, {tick / 10: f"{10 * tick} %" for tick in range(floor, 11)}
