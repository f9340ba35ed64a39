"""Gradient descent of many logistic heads at once, in the coordinates of their clips.

From a common start (W0, b0), every full-batch gradient of a client is a mix of its own inputs X,
(clips, dimension), and of W0. So its weights always are `W = shrink W0 + mixture^T X`, and the
descent needs X twice only: for the Gram matrix `X X^T` and for `X W0^T`. What follows is the
descent of `common.heads.training` in the numbers (shrink, mixture, bias): same objective, same
steps, same halvings, each client by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from common.heads.training import BIAS_SHARE, MAX_HALVINGS, TrainingSettings


@dataclass(frozen=True)
class Point:
    """Heads, or their gradients, of all clients of a block.

    Attributes:
        shrink: (clients,).
        mixture: (clients, clips, classes), 0 where padded.
        bias: (clients, classes).
    """

    shrink: Tensor
    mixture: Tensor
    bias: Tensor

    def minus(self, step: Tensor, gradient: Point) -> Point:
        """One step, (clients,), down the gradient."""
        return Point(
            self.shrink - step * gradient.shrink,
            self.mixture - step[:, None, None] * gradient.mixture,
            self.bias - step[:, None] * gradient.bias,
        )

    def where(self, chosen: Tensor, other: Point) -> Point:
        """This one's clients where `chosen`, (clients,) bool, else the other's."""
        return Point(
            torch.where(chosen, self.shrink, other.shrink),
            torch.where(chosen[:, None, None], self.mixture, other.mixture),
            torch.where(chosen[:, None], self.bias, other.bias),
        )


@dataclass(frozen=True)
class Problem:
    """One round of all branches for a block of clients.

    Attributes:
        inputs: (branches, clients, clips, dimension), 0 where padded.
        labels: (clients, clips).
        weights: (clients, clips), 1 over the client's clips; 0 where padded.
        weight: (branches, classes, dimension) of the head that all were sent.
        bias: (branches, classes) of it.
        settings: of the local training.
    """

    inputs: Tensor
    labels: Tensor
    weights: Tensor
    weight: Tensor
    bias: Tensor
    settings: TrainingSettings


@dataclass(frozen=True)
class Solution:
    """Where every client's descent ends; branches stand one after the other in `end`.

    `finite` is whether all inputs are. A client with one that is not never takes a step.
    """

    end: Point
    finite: bool


def moves_of(problem: Problem, solution: Solution) -> dict[str, Tensor]:
    """Trained minus received of each client, each (branches, clients, *shape)."""
    branches, clients = problem.inputs.shape[:2]
    end = solution.end
    mixture = end.mixture.transpose(1, 2)
    moves = torch.bmm(mixture, _finite_inputs(problem, solution).flatten(0, 1))
    moves = moves.view(branches, clients, *moves.shape[1:])
    shrink = (end.shrink - 1).view(branches, clients, 1, 1)
    bias = end.bias.view(branches, clients, -1) - problem.bias[:, None]
    return {"weight": moves.addcmul_(shrink, problem.weight[:, None]), "bias": bias}


def _finite_inputs(problem: Problem, solution: Solution) -> Tensor:
    return problem.inputs if solution.finite else problem.inputs.nan_to_num(0.0, 0.0, 0.0)


class _Objective:
    """Each client's objective in each branch, and its gradient.

    Branches stand one after the other, (branches * clients, ...): each is a problem by itself.
    """

    def __init__(self, problem: Problem) -> None:
        branches, clients, clips, _ = problem.inputs.shape
        each, weight = problem.inputs.flatten(0, 1), problem.weight
        self._settings = problem.settings
        self.gram = torch.bmm(each, each.transpose(1, 2))
        self.weights = problem.weights.repeat(branches, 1)
        self.bias = problem.bias.repeat_interleave(clients, 0)
        first = torch.stack(
            [w @ x.flatten(0, 1).T for w, x in zip(weight, problem.inputs, strict=True)]
        )
        self._first = first.transpose(1, 2).reshape(branches * clients, clips, -1)
        self._norm = weight.square().sum((1, 2)).repeat_interleave(clients)
        self._labels = problem.labels.repeat(branches, 1)[..., None]
        self._shown = torch.zeros_like(self._first).scatter_(2, self._labels, 1.0)

    def __call__(self, at: Point) -> tuple[Tensor, Point]:
        l2, mu = self._settings.l2, self._settings.proximal_mu
        mixed = torch.bmm(self.gram, at.mixture)
        logits = at.shrink[:, None, None] * self._first + mixed + at.bias[:, None]
        logs = torch.log_softmax(logits, dim=2)
        loss = -(self.weights * logs.gather(2, self._labels)[..., 0]).sum(1)
        error = self.weights[..., None] * (logs.exp() - self._shown)
        shift, moved = at.shrink - 1, at.bias - self.bias
        cross = (self._first * at.mixture).sum((1, 2))
        square = (at.mixture * mixed).sum((1, 2))
        loss = loss + 0.5 * l2 * (at.shrink**2 * self._norm + 2 * at.shrink * cross + square)
        loss = loss + 0.5 * l2 * BIAS_SHARE * at.bias.square().sum(1)
        distance = shift**2 * self._norm + 2 * shift * cross + square + moved.square().sum(1)
        loss = loss + 0.5 * mu * distance
        return loss, Point(
            l2 * at.shrink + mu * shift,
            error + (l2 + mu) * at.mixture,
            error.sum(1) + l2 * BIAS_SHARE * at.bias + mu * moved,
        )


def solve(problem: Problem) -> Solution:
    """All clients' descents in all branches."""
    objective = _Objective(problem)
    weights, gram = objective.weights, objective.gram
    mixture = weights.new_zeros(*weights.shape, objective.bias.shape[1])
    at = Point(weights.new_ones(len(weights)), mixture, objective.bias)
    clips = (weights > 0).sum(1)
    step = problem.settings.learning_rate / (1.0 + gram.diagonal(dim1=1, dim2=2).sum(1) / clips)
    loss, gradient = objective(at)
    epochs, halvings = torch.zeros_like(clips), torch.zeros_like(clips)
    going = torch.ones_like(clips, dtype=torch.bool)
    while bool(going.any()):
        trial = at.minus(step, gradient)
        trial_loss, trial_gradient = objective(trial)
        better = going & (trial_loss <= loss)
        at, gradient = trial.where(better, at), trial_gradient.where(better, gradient)
        loss = torch.where(better, trial_loss, loss)
        epochs = epochs + better
        going = going & (epochs < problem.settings.epochs) & (better | (halvings < MAX_HALVINGS))
        halved = going & ~better
        step, halvings = torch.where(halved, step / 2, step), halvings + halved
    return Solution(at, bool(torch.isfinite(gram).all()))
