"""What privacy cost in the lab: accuracies on synthetic features, to plan by and not to cite.

A synthetic world of clip features (1280 numbers, 40 public and 24 target actors), 20 rounds, all
devices in each, clipping norm 0.3, delta 1e-5, accuracy on actors held out (chance 12.5 to 15 %).
Rows are devices and head, columns epsilon. Levels need not carry over to real features; how they
fall with fewer devices, more parameters and a smaller epsilon does (docs/privacy.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SOURCE: Final = "lab (synthetic features, 20 rounds; the table in docs/privacy.md)"
EPSILONS: Final = (16.0, 8.0, 4.0, 2.0, 1.0)
FULL: Final = "full head"
SMALL: Final = "small projection"
_PARAMETERS: Final = {FULL: 10_248, SMALL: 72}

_ROWS: Final = {
    (FULL, 24): (59.0, (33.3, 24.0, 17.7, 14.9, 13.6)),
    (FULL, 100): (70.4, (66.0, 56.8, 42.7, 28.7, 19.9)),
    (FULL, 1000): (75.4, (75.2, 75.0, 74.5, 73.5, 69.4)),
    (FULL, 10_000): (74.8, (None, 74.8, None, None, 74.7)),
    (SMALL, 24): (96.6, (95.8, 94.9, 91.6, 84.1, 63.4)),
    (SMALL, 100): (96.8, (96.6, 96.6, 96.5, 96.0, 93.7)),
}


@dataclass(frozen=True, kw_only=True)
class LabCost:
    """A cell of the table, the one that promises least among those that fit.

    Attributes:
        head: `FULL` or `SMALL`.
        parameters, devices, epsilon: of the cell.
        without, with_privacy: accuracy in per cent.
        source: where it is from.
    """

    head: str
    parameters: int
    devices: int
    epsilon: float
    without: float
    with_privacy: float
    source: str = SOURCE

    @property
    def points(self) -> float:
        """Percentage points lost."""
        return round(self.without - self.with_privacy, 1)


def lab_cost(head: str, devices: int, epsilon: float) -> LabCost | None:
    """The cell of at most so many devices and at most this epsilon; None below the table.

    >>> lab_cost(FULL, 30, 9.0).points
    35.0
    """
    rows = sorted(count for kind, count in _ROWS if kind == head and count <= devices)
    for count in reversed(rows):
        without, cells = _ROWS[head, count]
        for column, accuracy in zip(EPSILONS, cells, strict=True):
            if column <= epsilon and accuracy is not None:
                return LabCost(
                    head=head,
                    parameters=_PARAMETERS[head],
                    devices=count,
                    epsilon=column,
                    without=without,
                    with_privacy=accuracy,
                )
    return None
