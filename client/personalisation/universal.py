"""`universal`: no personal head; the baseline that all others are held against."""

from __future__ import annotations

from dataclasses import dataclass

from client.personalisation.interface import Fitting, View
from client.personalisation.solver import Labels, Rows


@dataclass(frozen=True)
class Unchanged:
    """The universal head for a user."""

    reason: str = "universal head: it is the method"
    personal: bool = False

    def logits(self, view: View) -> Rows:
        """The universal head's."""
        return view.universal


def fit_universal(view: View, labels: Labels, fitting: Fitting) -> Unchanged:
    """Learn nothing."""
    del view, labels, fitting
    return Unchanged()
