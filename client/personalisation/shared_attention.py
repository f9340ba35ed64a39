"""`shared-attention`: the body is the fleet's, the classifier the user's own.

FedPer (Arivazhagan et al., arXiv 1912.00818, 2019) and FedRep (Collins et al., ICML 2021) federate
the body alone. Here the body is the attention of the universal head, which was trained with a
classifier that is federated too; the user's classifier starts from nothing and is solved on the
own clips, as FedRep's inner loop would end. For the logistic head, which has no body, it is
`local-only` on the population's units.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from client.personalisation.branches import Trained, parameters_of
from client.personalisation.interface import Fitting, View
from client.personalisation.maximum_a_posteriori import fit_personal
from client.personalisation.solver import Labels
from common.heads.kinds import descriptor
from common.heads.specification import BRANCHES


def own_classifiers(view: View, labels: Labels, fitting: Fitting) -> dict[str, Tensor]:
    """Weight and bias of both branches from the own clips alone, on the universal body."""
    kind, found = view.head.specification.kind, {}
    nothing = np.zeros_like(view.universal)
    for branch in BRANCHES:
        batch = view.inputs.branch(branch)
        descriptors = descriptor(kind, view.head.branch(branch), batch).numpy()
        head = fit_personal(nothing, descriptors, labels, fitting.alone)
        found[f"{branch}.weight"] = torch.from_numpy(np.ascontiguousarray(head.weight))
        found[f"{branch}.bias"] = torch.from_numpy(np.ascontiguousarray(head.bias))
    return found


def fit_shared_attention(view: View, labels: Labels, fitting: Fitting) -> Trained:
    """Solve for the user's classifiers on the universal body."""
    found = {**parameters_of(view.head), **own_classifiers(view, labels, fitting)}
    reason = f"personal head: own classifier from {len(labels)} clip(s), by method"
    return Trained(found, reason)
