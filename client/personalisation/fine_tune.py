"""`fine-tune`: the universal head trained on with the user's clips, as published.

Churaev and Savchenko, Computer Optics 47(5), 2023: 70 epochs for the logistic head, 50 for the
attention heads; Adam with learning rate 1e-4 and cross-entropy are stated for the attention heads.
Batch size and the logistic head's rate are not published: `LOGISTIC_RATE` and `BATCH` were chosen
on RAVDESS's training actors (action units): of rates 0.001 to 0.1 in steps of about 3, and batches
of 8 and 32, these gave the highest mean accuracy and likelihood over 1, 2 and 4 clips.
"""

from __future__ import annotations

from client.personalisation.branches import Steps, Trained, parameters_of, train
from client.personalisation.interface import Fitting, View
from client.personalisation.solver import Labels

LOGISTIC_EPOCHS, ATTENTION_EPOCHS = 70, 50
LOGISTIC_RATE, ATTENTION_RATE = 0.003, 1e-4
BATCH = 8


def published_steps(kind: str, fitting: Fitting) -> Steps:
    """Epochs and rate for a kind of head."""
    logistic = kind == "logistic"
    return Steps(
        epochs=LOGISTIC_EPOCHS if logistic else ATTENTION_EPOCHS,
        learning_rate=LOGISTIC_RATE if logistic else ATTENTION_RATE,
        batch=BATCH,
        seed=fitting.seed,
        user=fitting.user,
    )


def fit_fine_tune(view: View, labels: Labels, fitting: Fitting) -> Trained:
    """Step all of the head's arrays on the user's clips."""
    steps = published_steps(view.head.specification.kind, fitting)
    found = train(view, labels, parameters_of(view.head), steps)
    return Trained(found, f"personal head: fine-tuned on {len(labels)} own clip(s), by method")
