"""`local-only`: the user's own clips alone, as if there were no fleet.

The same convex problem as `map` with the universal head and every population figure left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from client.personalisation.heads import PersonalHead
from client.personalisation.interface import Fitting, View
from client.personalisation.maximum_a_posteriori import fit_personal
from client.personalisation.solver import Labels, Rows


@dataclass(frozen=True)
class Alone:
    """A linear head on descriptors that hold no population figure."""

    head: PersonalHead
    reason: str = "personal head: own clips alone, by method"
    personal: bool = True

    def logits(self, view: View) -> Rows:
        """Of the own clips' head; the universal head has no part in it."""
        return self.head.logits(0 * view.universal, view.own)


def fit_local_only(view: View, labels: Labels, fitting: Fitting) -> Alone:
    """Solve for the head of the own clips, with `fitting.alone`."""
    return Alone(fit_personal(0 * view.universal, view.own, labels, fitting.alone))
