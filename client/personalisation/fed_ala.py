"""`fed-ala`: own and universal classifier mixed entry by entry (Zhang et al., AAAI 2023).

Adaptive local aggregation starts a user's classifier at `own + (universal - own) * w` with one
weight in 0..1 per entry, learnt on the own clips from w = 1 by clipped gradient steps, and trains
on from there. Layers below the classifier are the universal head's. The own classifier is that of
the user's clips alone on the universal body, since a user who joins has none of earlier rounds.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from client.personalisation.branches import Parameters, Trained, mixed_logits, parameters_of, train
from client.personalisation.fine_tune import published_steps
from client.personalisation.interface import Fitting, View
from client.personalisation.shared_attention import own_classifiers
from client.personalisation.solver import Labels

MIXING_STEPS, MIXING_RATE = 20, 1.0
"""The published rate; their number of steps is until the loss settles, which 20 steps do."""


def fit_fed_ala(view: View, labels: Labels, fitting: Fitting) -> Trained:
    """Mix, then step like `fine-tune`."""
    start = parameters_of(view.head)
    own = own_classifiers(view, labels, fitting)
    mixed = _mix(view, torch.from_numpy(labels), start, own)
    found = train(view, labels, mixed, published_steps(view.head.specification.kind, fitting))
    return Trained(found, f"personal head: FedALA on {len(labels)} own clip(s), by method")


def _mix(view: View, labels: Tensor, universal: Parameters, own: Parameters) -> dict[str, Tensor]:
    weights = {name: torch.ones_like(value) for name, value in own.items()}
    for _ in range(MIXING_STEPS):
        leaves = {name: value.requires_grad_(True) for name, value in weights.items()}
        parameters = {**universal, **_between(universal, own, leaves)}
        scores = mixed_logits(view.head, parameters, view.inputs, view.trust)
        gradients = torch.autograd.grad(cross_entropy(scores, labels), list(leaves.values()))
        weights = {
            name: (value.detach() - MIXING_RATE * gradient).clamp(0, 1)
            for (name, value), gradient in zip(leaves.items(), gradients, strict=True)
        }
    return {**universal, **_between(universal, own, weights)}


def _between(universal: Parameters, own: Parameters, weights: Parameters) -> dict[str, Tensor]:
    return {name: own[name] + (universal[name] - own[name]) * weights[name] for name in own}
