"""How much a round tells: the rank of true gradients as the oracle, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common.errors import UsageError
from common.heads.batch import ClipBatch
from common.heads.kinds import initial_parameters
from common.heads.leak import WIDEST_PROJECTION, check_federated, combinations, mixing_arrays
from common.heads.specification import KINDS, HeadSpecification
from common.heads.training import objective
from common.randomness import generator


def spec(kind: str, dimension: int, key_dimension: int = 3) -> HeadSpecification:
    return HeadSpecification(
        kind=kind, dimension=dimension, features="made-up", key_dimension=key_dimension
    )


def told_rank(kind: str, dimension: int, rounds: int) -> int:
    """Rank of all rows, as long as a feature, that so many full-batch gradients tell."""
    specification = spec(kind, dimension)
    chooser = np.random.default_rng(0)
    frames = torch.from_numpy(chooser.normal(size=(40, 3, dimension)))
    batch = ClipBatch(frames, torch.ones(40, 3, dtype=torch.bool))
    labels = torch.from_numpy(chooser.integers(0, 8, 40))
    rows = []
    for round_ in range(rounds):
        drawn = initial_parameters(specification, generator(round_, "leak"))
        start = {
            name: (value + torch.from_numpy(0.1 * chooser.normal(size=value.shape)))
            for name, value in drawn.items()
        }
        leaves = {name: value.requires_grad_() for name, value in start.items()}
        objective(kind, leaves, batch, labels, 0.0).backward()  # type: ignore[no-untyped-call]
        for name, value in leaves.items():
            if dimension in value.shape and value.grad is not None:
                found = value.grad.numpy()
                rows.append(np.atleast_2d(found.T if name.endswith("projection") else found))
    return int(np.linalg.matrix_rank(np.concatenate(rows)))


@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_combinations_are_the_rank_of_what_is_told(kind: str, rounds: int) -> None:
    dimension = 64
    expected = combinations(spec(kind, dimension).branch_shapes())
    found = told_rank(kind, dimension, rounds)
    assert found <= rounds * expected
    # one round's query gradient of equation 1 may lie in the others' span; the rest is all there
    assert found >= rounds * (expected - 1)


def test_the_figures_that_the_budget_counts() -> None:
    found = {kind: combinations(spec(kind, 1280, 16).branch_shapes()) for kind in KINDS}
    assert found == {
        "logistic": 7,
        "single-attention": 8,
        "self-attention": 39,
        "self-attention-literal": 39,
    }
    assert combinations({"hidden": (512, 1280), "weight": (8, 1280)}) == 519
    assert combinations({"weight": (8, 8), "bias": (8,)}) == 7


@pytest.mark.parametrize("kind", ["logistic", "single-attention"])
def test_linear_heads_may_be_federated(kind: str) -> None:
    note = check_federated(spec(kind, 1280))
    assert (note.mixing, note.accepted) == ((), False)
    assert check_federated(spec(kind, 1280), accept_leak=True).accepted is False


@pytest.mark.parametrize("kind", ["self-attention", "self-attention-literal"])
def test_heads_that_mix_raw_features_are_refused_unless_accepted(kind: str) -> None:
    wide = spec(kind, WIDEST_PROJECTION + 1)
    with pytest.raises(UsageError, match=r"query_projection, key_projection.*--accept-leak"):
        check_federated(wide)
    note = check_federated(wide, accept_leak=True)
    assert note.to_json() == {
        "mixing_arrays": ["query_projection", "key_projection"],
        "combinations_per_round": 13,
        "accepted_leak": True,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_behind_few_numbers_every_head_may_be_federated(kind: str) -> None:
    assert mixing_arrays(spec(kind, WIDEST_PROJECTION)) == ()
    assert check_federated(spec(kind, WIDEST_PROJECTION)).accepted is False
