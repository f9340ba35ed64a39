"""Training one branch of a universal head on the clips at hand.

The objective is the mean cross-entropy over clips plus `l2 / 2` times the squared entries of all
arrays (a tenth of that on the bias), the same on a device and on pooled data, so that federated
training weighted by clips has the pooled optimum as its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import cross_entropy

from common.heads.batch import ClipBatch
from common.heads.kinds import Parameters, logits

Loss = Callable[[Parameters], Tensor]

LOGISTIC_RATE, LOGISTIC_EPOCHS = 20.0, 1
"""One full-batch step a round has the pooled optimum as its fixed point: devices can't drift."""
ATTENTION_RATE, ATTENTION_EPOCHS = 0.02, 5
BIAS_SHARE = 0.1
MAX_HALVINGS = 20


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a branch is trained in one round.

    Attributes:
        epochs: passes over the device's clips, at least 1.
        learning_rate: logistic: gradient step as a multiple of 1 / mean squared input norm;
            attention kinds: Adam's learning rate.
        l2: strength of regularisation, at least 0.
        proximal_mu: `mu` of FedProx (Li et al., MLSys 2020), at least 0: the local objective gets
            `mu / 2` times the squared distance from where the round started.
    """

    epochs: int
    learning_rate: float
    l2: float
    proximal_mu: float = 0.0


def objective(
    kind: str, parameters: Parameters, batch: ClipBatch, labels: Tensor, l2: float
) -> Tensor:
    """Mean cross-entropy plus regularisation, a scalar; `labels` is (clips,) int64."""
    return regularised(cross_entropy(logits(kind, parameters, batch), labels), parameters, l2)


def regularised(loss: Tensor, parameters: Parameters, l2: float) -> Tensor:
    """`loss` plus `l2 / 2` times the squared entries of all arrays, a tenth of it on the bias."""
    for name, value in parameters.items():
        share = BIAS_SHARE if name == "bias" else 1.0
        loss = loss + 0.5 * l2 * share * value.square().sum()
    return loss


def held_near(loss: Tensor, parameters: Parameters, start: Parameters, mu: float) -> Tensor:
    """`loss` plus FedProx's term: `mu / 2` times the squared distance from `start`."""
    if mu == 0:
        return loss
    return loss + 0.5 * mu * sum((parameters[name] - start[name]).square().sum() for name in start)


def _local_loss(
    kind: str, start: Parameters, batch: ClipBatch, labels: Tensor, settings: TrainingSettings
) -> Loss:
    def loss(parameters: Parameters) -> Tensor:
        value = objective(kind, parameters, batch, labels, settings.l2)
        return held_near(value, parameters, start, settings.proximal_mu)

    return loss


def train_branch(
    kind: str,
    start: Parameters,
    batch: ClipBatch,
    labels: Tensor,
    settings: TrainingSettings,
) -> dict[str, Tensor]:
    """Full-batch training from `start`: gradient descent for logistic, else Adam.

    Deterministic: nothing is drawn. `start` is left as it was.
    """
    loss = _local_loss(kind, start, batch, labels, settings)
    if kind == "logistic":
        return _descend(start, loss, batch, settings)
    return adam(start, loss, settings)


def _descend(
    start: Parameters, objective_at: Loss, batch: ClipBatch, settings: TrainingSettings
) -> dict[str, Tensor]:
    """Gradient descent whose step is halved for good whenever it would raise the objective.

    It ends early where `MAX_HALVINGS` halvings do not help: at the optimum, to rounding.
    """
    parameters = {name: value.clone() for name, value in start.items()}
    frames = batch.mask.sum().item()
    step = settings.learning_rate / (1.0 + batch.frames.square().sum().item() / frames)
    loss, gradients = _gradients(objective_at, parameters)
    halvings = 0
    for _ in range(settings.epochs):
        while True:
            trial = {name: parameters[name] - step * gradients[name] for name in parameters}
            trial_loss, trial_gradients = _gradients(objective_at, trial)
            if trial_loss <= loss:
                break
            if halvings == MAX_HALVINGS:
                return parameters
            step, halvings = step / 2, halvings + 1
        parameters, loss, gradients = trial, trial_loss, trial_gradients
    return parameters


def _gradients(
    objective_at: Loss, parameters: Mapping[str, Tensor]
) -> tuple[float, dict[str, Tensor]]:
    leaves = {name: value.detach().requires_grad_(True) for name, value in parameters.items()}
    loss = objective_at(leaves)
    found = torch.autograd.grad(loss, list(leaves.values()))
    return loss.item(), dict(zip(leaves, found, strict=True))


def adam(start: Parameters, objective_at: Loss, settings: TrainingSettings) -> dict[str, Tensor]:
    """`epochs` full-batch steps of Adam from `start`, which is left as it was.

    Adam works entry by entry: for stacked parameters of several heads and the sum of their
    objectives, each head takes the steps that it would take alone.
    """
    parameters = {name: value.clone().requires_grad_(True) for name, value in start.items()}
    optimiser = torch.optim.Adam(list(parameters.values()), lr=settings.learning_rate)
    for _ in range(settings.epochs):
        optimiser.zero_grad()
        objective_at(parameters).backward()
        optimiser.step()
    return {name: value.detach() for name, value in parameters.items()}


def solve_branch(
    kind: str, start: Parameters, batch: ClipBatch, labels: Tensor, *, l2: float, steps: int = 500
) -> dict[str, Tensor]:
    """Minimise the objective to convergence with L-BFGS: the pooled ceiling, on one machine."""
    sizes = [value.numel() for value in start.values()]

    def unflat(flat: npt.NDArray[np.float64]) -> dict[str, Tensor]:
        parts = torch.from_numpy(flat).split(sizes)
        pairs = zip(start.items(), parts, strict=True)
        return {name: part.reshape(value.shape) for (name, value), part in pairs}

    def objective_at(parameters: Parameters) -> Tensor:
        return objective(kind, parameters, batch, labels, l2)

    def value_and_gradient(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        loss, gradients = _gradients(objective_at, unflat(flat))
        return loss, torch.cat([gradients[name].ravel() for name in start]).numpy()

    first = torch.cat([value.ravel() for value in start.values()]).numpy()
    options = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-12, "gtol": 1e-7, "maxcor": 20}
    result = minimize(value_and_gradient, first, jac=True, method="L-BFGS-B", options=options)
    return unflat(np.ascontiguousarray(result.x))
