"""Learning from confident predictions too: off by default.

Unlabelled clips of the user whose expression the personal head is sure of are added once, as if
the user had confirmed it (self-training: Scudder, IEEE Trans. Inf. Theory 11(3), 1965; the
threshold as in FixMatch, Sohn et al., NeurIPS 2020). The risk: a head that is sure and wrong, say
of a face that always looks sad to it, is made surer, and no user was asked. So the option is never
on by itself, evidence counts confirmed labels only, and guesses are not stored as labels.
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from client.personalisation.heads import PersonalHead
from client.personalisation.interface import View
from client.personalisation.solver import Labels, Rows

SURE = 0.95


def extended(
    view: View, labels: Labels, head: PersonalHead, unlabelled: View
) -> tuple[Rows, Rows, Labels]:
    """Universal logits, descriptors and labels: the labelled clips, then the confident ones."""
    shares = softmax(head.logits(unlabelled.universal, unlabelled.descriptors), axis=1)
    sure = shares.max(axis=1) >= SURE
    return (
        np.vstack([view.universal, unlabelled.universal[sure]]),
        np.vstack([view.descriptors, unlabelled.descriptors[sure]]),
        np.concatenate([labels, shares.argmax(axis=1)[sure]]),
    )
