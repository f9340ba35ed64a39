"""Parts of a report: tables that a terminal shows too, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Size = tuple[float, float]
NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what stands in it.
        columns: heads of the columns.
        rows: cells, as many as columns.
        labels: so many columns at the left name the row; the others are figures.
        notes: what a reader must know.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        key: unique in the page; letters, digits and hyphens.
        title: what is drawn.
        description: what a person would see in it.
        size: inches.
        draw: draws it.
        narrow: the same for a phone, if it needs another.
    """

    key: str
    title: str
    description: str
    size: Size
    draw: Callable[[Figure], None]
    narrow: tuple[Size, Callable[[Figure], None]] | None = None


@dataclass(frozen=True)
class Section:
    """One experiment's part: what it says in words, then pictures and tables."""

    words: tuple[str, ...]
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = field(default=())


def percent(share: float | None) -> str:
    """A share in percent, one decimal; a dash for none.

    >>> percent(0.7375), percent(None)
    ('73.8', '–')
    """
    return NOTHING if share is None else f"{100 * share:.1f}"


def with_interval(mean: float | None, low: float | None, high: float | None) -> str:
    """A share with its interval, in percent.

    >>> with_interval(0.72, 0.68, 0.761)
    '72.0 (68 to 76)'
    """
    if mean is None or low is None or high is None:
        return NOTHING
    return f"{percent(mean)} ({100 * low:.0f} to {100 * high:.0f})"


def listed(words: Sequence[str]) -> str:
    """Words in a row, as in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def accepted_leaks(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """A sentence on heads that are measured here and should not be federated; none without."""
    heads = list(dict.fromkeys(row["head"] for row in rows if row.get("accepted_leak")))
    if not heads:
        return ()
    return (
        f"Leak accepted: {listed(heads)} on these features would tell mixtures of raw features in "
        "one round, so that mien simulate and fleets refuse to federate such heads. Here they are "
        "trained to measure accuracy, and nothing is transmitted.",
    )
