"""`map` as a method: see `maximum_a_posteriori`."""

from __future__ import annotations

from dataclasses import dataclass

from client.personalisation.confident import extended
from client.personalisation.heads import PersonalHead
from client.personalisation.interface import Fitting, View
from client.personalisation.maximum_a_posteriori import Chosen, choose_personal, fit_personal
from client.personalisation.metric import whitener
from client.personalisation.solver import Labels, Rows


@dataclass(frozen=True)
class Corrected:
    """The universal head with a user's correction, if there is evidence for one."""

    chosen: Chosen

    @property
    def head(self) -> PersonalHead:
        """What is stored: without evidence, a correction of nothing."""
        return self.chosen.head

    @property
    def personal(self) -> bool:
        """Whether the correction is in use."""
        return self.chosen.personal

    @property
    def reason(self) -> str:
        """Which head is in use and why."""
        return self.chosen.reason

    def logits(self, view: View) -> Rows:
        """Corrected logits."""
        return self.head.logits(view.universal, view.descriptors)


def fit_map(view: View, labels: Labels, fitting: Fitting) -> Corrected:
    """Choose strength and scale by evidence and solve; `fitting.confident` adds guessed labels."""
    white = head_whitener(view)
    chosen = choose_personal(
        view.universal, view.descriptors, labels, fitting.prior, whitener=white
    )
    if not (chosen.personal and fitting.confident and fitting.unlabelled is not None):
        return Corrected(chosen)
    universal, descriptors, all_labels = extended(view, labels, chosen.head, fitting.unlabelled)
    head = fit_personal(universal, descriptors, all_labels, chosen.settings, whitener=white)
    added = len(all_labels) - len(labels)
    reason = f"{chosen.reason}; {added} guessed label(s) learnt from too"
    return Corrected(Chosen(head, chosen.settings, True, reason))


def head_whitener(view: View) -> Rows | None:
    """The whitener of the head's scatter, None where the head has none."""
    scatter = view.head.scatter
    return None if scatter is None else whitener(scatter)
