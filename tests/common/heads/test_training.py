"""Training: the objective goes down, the optimum is the optimum, nothing is drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from common.heads.batch import ClipBatch
from common.heads.kinds import initial_parameters
from common.heads.specification import KINDS
from common.heads.training import (
    BIAS_SHARE,
    TrainingSettings,
    objective,
    solve_branch,
    train_branch,
)
from common.randomness import generator
from tests.common.heads import oracles
from tests.common.heads.oracles import batch_of, random_values, specification_of, tensors

L2 = 0.01
DIMENSION = 4
RATES = {"logistic": 1.0}


def problem(kind: str, seed: int = 0) -> tuple[ClipBatch, Tensor]:
    """Three classes whose frames lie around three points."""
    random = np.random.default_rng(seed)
    points = 1.5 * random.normal(size=(oracles.CLASSES, DIMENSION))
    labels = np.arange(24) % oracles.CLASSES
    lengths = np.ones(24, int) if kind == "logistic" else random.integers(1, 6, size=24)
    pairs = zip(labels, lengths, strict=True)
    clips = [points[y] + random.normal(size=(length, DIMENSION)) for y, length in pairs]
    return batch_of(clips), torch.from_numpy(labels)


def start_of(kind: str) -> dict[str, Tensor]:
    return initial_parameters(specification_of(kind, DIMENSION), generator(0, "test"))


def settings_for(kind: str, *, epochs: int = 30, rate: float | None = None) -> TrainingSettings:
    chosen = RATES.get(kind, 0.02) if rate is None else rate
    return TrainingSettings(epochs=epochs, learning_rate=chosen, l2=L2)


def loss_of(kind: str, parameters: dict[str, Tensor], seed: int = 0) -> float:
    return float(objective(kind, parameters, *problem(kind, seed), L2))


@pytest.mark.parametrize("kind", KINDS)
def test_the_objective_is_mean_cross_entropy_and_a_penalty(kind: str) -> None:
    values = random_values(kind, DIMENSION, np.random.default_rng(1))
    batch, labels = problem(kind)
    total = 0.0
    for frames, mask, label in zip(batch.frames, batch.mask, labels, strict=True):
        scores = oracles.logits(kind, values, frames[mask].numpy())
        total += math.log(sum(math.exp(score) for score in scores)) - scores[int(label)]
    expected = total / len(labels)
    for name, value in values.items():
        share = BIAS_SHARE if name == "bias" else 1.0
        expected += 0.5 * L2 * share * sum(float(entry) ** 2 for entry in value.ravel())
    assert loss_of(kind, tensors(values)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_objective_and_learns_the_clips(kind: str) -> None:
    start, (batch, labels) = start_of(kind), problem(kind)
    kept = {name: value.clone() for name, value in start.items()}
    losses = [loss_of(kind, start)]
    assert losses[0] >= math.log(oracles.CLASSES)
    for epochs in (1, 5, 30):
        found = train_branch(kind, start, batch, labels, settings_for(kind, epochs=epochs))
        losses.append(loss_of(kind, found))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.85 * losses[0]
    assert all(torch.equal(start[name], value) for name, value in kept.items())
    assert {n: v.shape for n, v in found.items()} == {n: v.shape for n, v in start.items()}
    assert not any(value.requires_grad for value in found.values())


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_repeated_bit_by_bit(kind: str) -> None:
    batch, labels = problem(kind)
    one, two = (
        train_branch(kind, start_of(kind), batch, labels, settings_for(kind)) for _ in range(2)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("kind", KINDS)
def test_training_does_not_read_the_global_seed(kind: str) -> None:
    batch, labels = problem(kind)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(train_branch(kind, start_of(kind), batch, labels, settings_for(kind)))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_clips_does_not_matter(kind: str) -> None:
    batch, labels = problem(kind)
    order = torch.from_numpy(np.random.default_rng(2).permutation(len(batch)))
    one = train_branch(kind, start_of(kind), batch, labels, settings_for(kind))
    two = train_branch(kind, start_of(kind), batch.select(order), labels[order], settings_for(kind))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rate", [1e-6, 1.0, 20.0, 1e3, 1e9, 1e30, 1e300])
def test_gradient_descent_never_raises_the_objective(rate: float) -> None:
    """However large the step is that was asked for."""
    batch, labels = problem("logistic")
    parameters = start_of("logistic")
    losses = [loss_of("logistic", parameters)]
    for _ in range(4):
        settings = settings_for("logistic", epochs=10, rate=rate)
        parameters = train_branch("logistic", parameters, batch, labels, settings)
        losses.append(loss_of("logistic", parameters))
    assert all(after <= before for before, after in pairwise(losses))


def test_one_step_of_gradient_descent_by_hand() -> None:
    """Step = rate / (1 + mean squared norm); gradients at 0 are those of equal shares."""
    batch, labels = problem("logistic")
    rows, count = batch.frames[:, 0].numpy(), len(labels)
    found = train_branch(
        "logistic", start_of("logistic"), batch, labels, settings_for("logistic", epochs=1)
    )
    residual = 1 / oracles.CLASSES - np.eye(oracles.CLASSES)[labels.numpy()]
    step = 1.0 / (1 + (rows**2).sum(axis=1).mean())
    np.testing.assert_allclose(found["weight"], -step * residual.T @ rows / count, rtol=1e-9)
    np.testing.assert_allclose(found["bias"], -step * residual.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_attention_kinds_take_the_steps_of_adam(kind: str) -> None:
    """Kingma and Ba 2015, algorithm 1, with the usual constants, in NumPy."""
    (batch, labels), rate, epochs = problem(kind), 0.02, 4
    values = random_values(kind, DIMENSION, np.random.default_rng(3))
    point = {name: value.copy() for name, value in values.items()}
    first = {name: np.zeros_like(value) for name, value in values.items()}
    second = {name: np.zeros_like(value) for name, value in values.items()}
    for step in range(1, epochs + 1):
        leaves = {name: value.requires_grad_(True) for name, value in tensors(point).items()}
        objective(kind, leaves, batch, labels, L2).backward()
        for name, leaf in leaves.items():
            assert leaf.grad is not None
            gradient = leaf.grad.numpy()
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
            point[name] = point[name] - rate * mean / (np.sqrt(square) + 1e-8)
    settings = settings_for(kind, epochs=epochs, rate=rate)
    found = train_branch(kind, tensors(values), batch, labels, settings)
    for name, value in point.items():
        np.testing.assert_allclose(found[name].numpy(), value, rtol=1e-7, atol=1e-9)


def test_a_step_does_not_depend_on_padding() -> None:
    """The mean squared norm is over frames, not over the padded box."""
    batch, labels = problem("logistic")
    wide = ClipBatch(
        torch.cat([batch.frames, torch.zeros(len(batch), 3, DIMENSION)], dim=1),
        torch.cat([batch.mask, torch.zeros(len(batch), 3, dtype=torch.bool)], dim=1),
    )
    one, two = (
        train_branch("logistic", start_of("logistic"), b, labels, settings_for("logistic"))
        for b in (batch, wide)
    )
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-9, atol=1e-12)


def gradient_norm(kind: str, parameters: dict[str, Tensor], l2: float) -> float:
    leaves = {name: value.clone().requires_grad_(True) for name, value in parameters.items()}
    objective(kind, leaves, *problem(kind), l2).backward()
    return max(float(leaf.grad.abs().max()) for leaf in leaves.values() if leaf.grad is not None)


@pytest.mark.parametrize("l2", [0.1, 0.01, 0.001])
def test_the_solver_ends_where_the_gradient_is_zero(l2: float) -> None:
    batch, labels = problem("logistic")
    found = solve_branch("logistic", start_of("logistic"), batch, labels, l2=l2)
    assert gradient_norm("logistic", found, l2) < 1e-5
    assert gradient_norm("logistic", start_of("logistic"), l2) > 0.05


def test_the_solver_and_many_steps_meet() -> None:
    batch, labels = problem("logistic")
    solved = solve_branch("logistic", start_of("logistic"), batch, labels, l2=L2)
    stepped = train_branch(
        "logistic",
        start_of("logistic"),
        batch,
        labels,
        settings_for("logistic", epochs=1500, rate=10.0),
    )
    for name in solved:
        torch.testing.assert_close(stepped[name], solved[name], rtol=0, atol=2e-3)
    assert loss_of("logistic", stepped) >= loss_of("logistic", solved) - 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_the_solver_does_not_end_above_training(kind: str) -> None:
    batch, labels = problem(kind)
    trained = train_branch(kind, start_of(kind), batch, labels, settings_for(kind))
    solved = solve_branch(kind, trained, batch, labels, l2=L2)
    assert loss_of(kind, solved) <= loss_of(kind, trained) + 1e-12
    assert {n: v.shape for n, v in solved.items()} == {n: v.shape for n, v in trained.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_one_clip_of_one_frame_can_be_trained_on(kind: str) -> None:
    batch, labels = batch_of([np.ones((1, DIMENSION))]), torch.tensor([1])
    found = train_branch(kind, start_of(kind), batch, labels, settings_for(kind))
    assert all(torch.isfinite(value).all() for value in found.values())
    assert found["bias"].argmax() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_proximal_term_holds_training_near_its_start(kind: str) -> None:
    """The larger mu, the nearer the end; mu 0 is no term at all."""
    batch, labels = problem(kind)
    start, plain = start_of(kind), settings_for(kind)
    ends = [
        train_branch(kind, start, batch, labels, replace(plain, proximal_mu=mu))
        for mu in (0.0, 0.3, 30.0)
    ]
    distances = [sum((end[n] - start[n]).square().sum().item() for n in start) for end in ends]
    assert distances[0] > distances[1] > distances[2]
    bare = train_branch(kind, start, batch, labels, plain)
    assert all(torch.equal(ends[0][name], bare[name]) for name in start)


def test_a_proximal_term_s_first_step_is_no_other() -> None:
    """At the start its gradient is 0: one epoch of gradient descent does not see it."""
    batch, labels = problem("logistic")
    start, one = start_of("logistic"), settings_for("logistic", epochs=1, rate=0.1)
    bare = train_branch("logistic", start, batch, labels, one)
    held = train_branch("logistic", start, batch, labels, replace(one, proximal_mu=0.5))
    assert all(torch.equal(bare[name], held[name]) for name in start)
