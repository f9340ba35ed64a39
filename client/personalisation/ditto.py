"""`ditto`: a personal copy of the head, held near the universal one (Li et al., ICML 2021).

Minimises the mean cross-entropy on the own clips plus `PULL / 2` times the squared distance from
the universal head, by the same steps as `fine-tune`. Ditto's authors choose the pull for each data
set; ours, and the logistic head's rate, were chosen on RAVDESS's training actors (action units).
"""

from __future__ import annotations

from dataclasses import replace

from client.personalisation.branches import Trained, parameters_of, train
from client.personalisation.fine_tune import published_steps
from client.personalisation.interface import Fitting, View
from client.personalisation.solver import Labels

PULL, LOGISTIC_RATE = 0.05, 0.01


def fit_ditto(view: View, labels: Labels, fitting: Fitting) -> Trained:
    """Step a copy of the universal head towards the own clips, on a leash."""
    steps = replace(published_steps(view.head.specification.kind, fitting), pull=PULL)
    if view.head.specification.kind == "logistic":
        steps = replace(steps, learning_rate=LOGISTIC_RATE)
    found = train(view, labels, parameters_of(view.head), steps)
    return Trained(found, f"personal head: Ditto on {len(labels)} own clip(s), by method")
