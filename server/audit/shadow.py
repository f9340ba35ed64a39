"""Devices that the attacker plays itself, with clips of people who took no part."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from common.heads.batch import ClipBatch
from common.heads.training import train_branch
from common.settings import FederationPlan

Vector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
LinearTrainer = Callable[
    [Vector, Vector, Vector, Labels, np.random.Generator], tuple[Vector, Vector]
]
"""(weight, bias, inputs, labels, draws) -> (change of weight, change of bias)."""


def plan_trainer(plan: FederationPlan) -> LinearTrainer:
    """Training of a linear classifier as the plan tells devices to do it."""

    def train(
        weight: Vector, bias: Vector, inputs: Vector, labels: Labels, draws: np.random.Generator
    ) -> tuple[Vector, Vector]:
        del draws  # nothing is drawn: devices train on all clips at once
        start = {"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}
        frames = torch.from_numpy(inputs)[:, None, :]
        batch = ClipBatch(frames, torch.ones(frames.shape[:2], dtype=torch.bool))
        end = train_branch("logistic", start, batch, torch.from_numpy(labels), plan.training)
        return end["weight"].numpy() - weight, end["bias"].numpy() - bias

    return train


def skewed_choice(labels: Labels, count: int, draws: np.random.Generator) -> npt.NDArray[np.int64]:
    """`count` clips whose expressions are as uneven as a person's own, from nearly even to a few.

    Expressions' shares are Dirichlet with a concentration that is drawn too; clips of an expression
    may come twice where there are too few.
    """
    kinds = np.unique(labels)
    shares = draws.dirichlet(np.full(len(kinds), 10.0 ** draws.uniform(-0.5, 1.5)))
    counts = draws.multinomial(count, shares)
    picks = [
        draws.choice(np.flatnonzero(labels == kind), n, replace=n > int((labels == kind).sum()))
        for kind, n in zip(kinds, counts, strict=True)
        if n
    ]
    return np.concatenate(picks)
