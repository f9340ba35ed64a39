"""Adam of many attention heads at once: their parameters stacked, their objectives summed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from common.heads.batch import ClipBatch
from common.heads.kinds import Parameters, logits
from common.heads.training import TrainingSettings, adam, held_near, regularised


@dataclass(frozen=True)
class Problem:
    """One round of one branch for a block of clients.

    Attributes:
        kind: of head.
        inputs: (clients, clips, frames, dimension), 0 where padded.
        mask: (clients, clips, frames); a padded clip has its first frame.
        labels: (clients, clips).
        weights: (clients, clips), 1 over the client's clips; 0 where padded.
        start: one branch's parameters of the head that all were sent.
        settings: of the local training.
    """

    kind: str
    inputs: Tensor
    mask: Tensor
    labels: Tensor
    weights: Tensor
    start: Mapping[str, Tensor]
    settings: TrainingSettings


def trained_moves(problem: Problem) -> dict[str, Tensor]:
    """Trained minus received of all clients, each (clients, *shape)."""
    clients = len(problem.labels)
    stacked = {name: value.expand(clients, *value.shape) for name, value in problem.start.items()}
    of_each = torch.func.vmap(lambda *client: _objective(problem, *client))

    def together(parameters: Parameters) -> Tensor:
        own = problem.inputs, problem.mask, problem.labels, problem.weights
        return of_each(dict(parameters), *own).sum()

    ends = adam(stacked, together, problem.settings)
    return {name: end - problem.start[name] for name, end in ends.items()}


def _objective(
    problem: Problem,
    parameters: Parameters,
    frames: Tensor,
    mask: Tensor,
    labels: Tensor,
    weights: Tensor,
) -> Tensor:
    """One client's objective; padded clips weigh nothing."""
    settings = problem.settings
    found = logits(problem.kind, parameters, ClipBatch(frames, mask))
    loss = (weights * cross_entropy(found, labels, reduction="none")).sum()
    loss = regularised(loss, parameters, settings.l2)
    return held_near(loss, parameters, problem.start, settings.proximal_mu)
