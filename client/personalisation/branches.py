"""Both branches of a universal head as trainable parameters: what the stepped methods share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor
from torch.nn.functional import cross_entropy

from client.personalisation.interface import View
from client.personalisation.solver import Labels, Rows
from common.heads.kinds import logits
from common.heads.specification import BRANCHES
from common.heads.universal import Inputs, UniversalHead
from common.randomness import generator

Parameters = Mapping[str, Tensor]
Gradient = Callable[[Rows, Labels], Rows]
DECAYS, SMALLEST = (0.9, 0.999), 1e-8
"""Adam's, as published (Kingma and Ba, ICLR 2015)."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How parameters are stepped: Adam, minibatches drawn without replacement.

    Attributes:
        epochs: passes over the clips, at least 0.
        learning_rate: Adam's, above 0.
        batch: clips per step, at least 1.
        pull: the objective gets `pull / 2` times the squared distance from the start.
        seed, user: of the order of clips.
    """

    epochs: int
    learning_rate: float
    batch: int
    pull: float = 0.0
    seed: int = 0
    user: str = ""

    def batches(self, clips: int) -> Iterator[Labels]:
        """Indices of each step's clips."""
        order = generator(self.seed, "order of own clips", user=self.user)
        for _ in range(self.epochs):
            shuffled = order.permutation(clips)
            yield from (shuffled[i : i + self.batch] for i in range(0, clips, self.batch))


@dataclass(frozen=True)
class Trained:
    """A user's own values of both branches' arrays."""

    parameters: Parameters
    reason: str
    personal: bool = True

    def logits(self, view: View) -> Rows:
        """Mixed by trust, as the universal head mixes."""
        with torch.no_grad():
            return mixed_logits(view.head, self.parameters, view.inputs, view.trust).numpy()


def parameters_of(head: UniversalHead) -> dict[str, Tensor]:
    """Both branches' arrays, float64, under their names on the wire."""
    return {
        f"{branch}.{name}": value
        for branch in BRANCHES
        for name, value in head.branch(branch).items()
    }


def mixed_logits(
    head: UniversalHead, parameters: Parameters, inputs: Inputs, trust: float
) -> Tensor:
    """(clips, classes) logits with `parameters` in place of the head's own."""
    kind, names = head.specification.kind, head.specification.branch_shapes()
    population, user = (
        logits(kind, {n: parameters[f"{branch}.{n}"] for n in names}, inputs.branch(branch))
        for branch in BRANCHES
    )
    return (1 - trust) * population + trust * user


def train(view: View, labels: Labels, start: Parameters, steps: Steps) -> dict[str, Tensor]:
    """Minimise the mean cross-entropy of the mixed logits from `start`, which is left as it was."""
    if view.head.specification.kind == "logistic":
        return _train_linear(view, labels, start, steps)
    parameters = {name: value.clone().requires_grad_(True) for name, value in start.items()}
    optimiser = torch.optim.Adam(
        list(parameters.values()), lr=steps.learning_rate, betas=DECAYS, eps=SMALLEST
    )
    targets = torch.from_numpy(labels)
    for rows in steps.batches(len(labels)):
        chosen = torch.from_numpy(rows)
        part = Inputs(view.inputs.population.select(chosen), view.inputs.user.select(chosen))
        optimiser.zero_grad()
        loss = cross_entropy(mixed_logits(view.head, parameters, part, view.trust), targets[chosen])
        loss = loss + steps.pull / 2 * _distance(parameters, start)
        loss.backward()
        optimiser.step()
    return {name: value.detach() for name, value in parameters.items()}


def _distance(parameters: Parameters, start: Parameters) -> Tensor:
    return torch.stack([(parameters[name] - start[name]).square().sum() for name in start]).sum()


def _train_linear(view: View, labels: Labels, start: Parameters, steps: Steps) -> dict[str, Tensor]:
    """The same for the logistic head, with both branches as one matrix and gradients by hand.

    Adam works entry by entry, so that stacking changes no step; it is several times faster.
    """
    shares = {"population": 1 - view.trust, "user": view.trust}
    rows = np.hstack(
        [
            share * np.hstack([view.inputs.branch(b).frames[:, 0].numpy(), np.ones((len(view), 1))])
            for b, share in shares.items()
        ]
    )
    first = np.hstack(
        [
            np.hstack([start[f"{b}.weight"].numpy(), start[f"{b}.bias"].numpy()[:, None]])
            for b in shares
        ]
    )
    targets = np.eye(len(first))[labels]

    def gradient(weights: Rows, chosen: Labels) -> Rows:
        part = rows[chosen]
        wrong = softmax(part @ weights.T, axis=1) - targets[chosen]
        return np.asarray(wrong.T @ part / len(part) + steps.pull * (weights - first))

    halves = np.split(_adam(first, gradient, steps, len(labels)), 2, axis=1)
    found = {}
    for branch, half in zip(shares, halves, strict=True):
        found[f"{branch}.weight"] = torch.from_numpy(half[:, :-1].copy())
        found[f"{branch}.bias"] = torch.from_numpy(half[:, -1].copy())
    return found


def _adam(start: Rows, gradient: Gradient, steps: Steps, clips: int) -> Rows:
    weights, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for number, chosen in enumerate(steps.batches(clips), start=1):
        slope = gradient(weights, chosen)
        mean += (1 - DECAYS[0]) * (slope - mean)
        square += (1 - DECAYS[1]) * (slope * slope - square)
        rate = steps.learning_rate / (1 - DECAYS[0] ** number)
        root = np.sqrt(square / (1 - DECAYS[1] ** number)) + SMALLEST
        weights -= rate * mean / root
    return weights
