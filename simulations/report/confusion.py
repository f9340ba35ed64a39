"""Confusion matrices from the predictions that the results keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.expressions import EXPRESSIONS

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts of test clips, (expressions, expressions): row shown, column chosen.

    Counts of a personal head are means over draws of own clips, so they may be fractions.
    """

    title: str
    counts: Matrix

    @property
    def totals(self) -> Matrix:
        """Test clips per expression, (expressions,)."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def shares(self) -> Matrix:
        """Counts over their row's total; NaN in the rows of expressions without clips."""
        totals = self.totals[:, None]
        empty = np.full_like(self.counts, np.nan)
        return np.divide(self.counts, totals, out=empty, where=totals > 0)

    @property
    def mistakes(self) -> tuple[tuple[str, str, float], ...]:
        """(shown, chosen, share) of wrong choices that occur, the most frequent first."""
        wrong = np.nan_to_num(self.shares * (1 - np.eye(len(self.counts))))
        order = np.argsort(-wrong, axis=None, kind="stable")
        places = [divmod(int(place), len(self.counts)) for place in order]
        return tuple(
            (EXPRESSIONS[shown], EXPRESSIONS[chosen], float(wrong[shown, chosen]))
            for shown, chosen in places
            if wrong[shown, chosen] > 0
        )


def universal_confusion(predictions: Mapping[str, Sequence[Mapping[str, Any]]]) -> Confusion:
    """Of the federated universal head, over all users' test clips."""
    return _sum("Universal head", predictions, lambda record: [record["universal"]])


def personal_confusion(
    predictions: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Confusion:
    """Of personal heads at the most own clips; each clip counts once, shared among its draws."""
    return _sum("Personal head", predictions, lambda record: record["personal"][-1])


def _sum(
    title: str, predictions: Mapping[str, Sequence[Mapping[str, Any]]], draws: Any
) -> Confusion:
    counts = np.zeros((len(EXPRESSIONS), len(EXPRESSIONS)))
    for records in predictions.values():
        for record in records:
            made = draws(record)
            for chosen in made:
                np.add.at(counts, (record["labels"], chosen), 1 / len(made))
    return Confusion(title, counts)


def count_text(count: float) -> str:
    """A count of clips: whole where it is, one decimal where it is a mean over draws."""
    return f"{count:.0f}" if abs(count - round(count)) < 1e-6 else f"{count:.1f}"
