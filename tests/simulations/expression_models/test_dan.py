"""DAN against the loops of `dan_oracle`, and its losses' gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from simulations.expression_models.dan import (
    CrossAttention,
    affinity_loss,
    partition_loss,
    scaled_heads,
)
from simulations.expression_models.networks import ExpressionNetwork, NetworkKind
from tests.simulations.expression_models import dan_oracle as oracle

HEADS, CHANNELS, CLASSES = 3, 4, 4


class FlatBase(nn.Module):
    """Gives its images back as maps, so that a whole network is small enough for the oracle."""

    num_features = CHANNELS

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


@pytest.fixture(scope="module")
def network() -> ExpressionNetwork:
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        import timm

        patch.setattr(timm, "create_model", lambda *_, **__: FlatBase())
        torch.manual_seed(1)
        kind = NetworkKind(id="flat", base="flat", heads=HEADS, about="for the oracle")
        made = ExpressionNetwork(kind, CLASSES)
        for module in made.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for values in (module.running_mean, module.running_var, module.weight, module.bias):
                    nn.init.uniform_(values, 0.5, 1.5)
    return made.eval()


def weights_of(network: nn.Module) -> oracle.Weights:
    return {name: value.double().numpy() for name, value in network.state_dict().items()}


def maps(count: int = 2, seed: int = 2) -> torch.Tensor:
    return torch.randn(count, CHANNELS, 3, 3, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_forward_is_the_oracles(network: ExpressionNetwork) -> None:
    seen = network.look(maps())
    for index, image in enumerate(maps().double().numpy()):
        features, logits, heads = oracle.forward(image, weights_of(network), HEADS)
        np.testing.assert_allclose(seen.features[index], features, atol=1e-5)
        np.testing.assert_allclose(seen.logits[index], logits, atol=1e-5)
        np.testing.assert_allclose(seen.heads[index], heads, atol=1e-5)
        np.testing.assert_allclose(seen.pooled[index], image.mean(axis=(1, 2)), atol=1e-6)


@torch.no_grad()
def test_losses_of_the_network_are_the_oracles(network: ExpressionNetwork) -> None:
    labels = [2, 0]
    seen = network.look(maps())
    found = network.auxiliary_loss(seen, nn.functional.one_hot(torch.tensor(labels), CLASSES))
    centres = network.centres.double().numpy()
    expected = oracle.affinity(seen.pooled.double().numpy(), centres, labels)
    expected += oracle.partition(seen.heads.double().numpy())
    assert float(found) == pytest.approx(expected, abs=1e-5)


@given(
    count=st.integers(1, 4),
    heads=st.integers(2, 5),
    channels=st.integers(1, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_losses_of_any_shape_are_the_oracles(
    count: int, heads: int, channels: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, heads, channels))
    assert float(partition_loss(torch.from_numpy(vectors))) == pytest.approx(
        oracle.partition(vectors)
    )
    pooled, centres = random.normal(size=(count, channels)), random.normal(size=(3, channels))
    labels = random.integers(0, 3, count)
    targets = torch.from_numpy(np.eye(3)[labels])
    found = affinity_loss(torch.from_numpy(pooled), torch.from_numpy(centres), targets)
    assert float(found) == pytest.approx(oracle.affinity(pooled, centres, labels.tolist()))


def test_soft_labels_take_the_expected_affinity_loss() -> None:
    pooled, centres = torch.randn(1, 5).double(), torch.randn(3, 5).double()
    hard = [float(affinity_loss(pooled, centres, torch.eye(3).double()[[c]])) for c in range(3)]
    shares = torch.tensor([[0.2, 0.5, 0.3]]).double()
    expected = 0.2 * hard[0] + 0.5 * hard[1] + 0.3 * hard[2]
    assert float(affinity_loss(pooled, centres, shares)) == pytest.approx(expected)


def test_gradients_are_those_of_differences() -> None:
    random = torch.Generator().manual_seed(4)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random).double().requires_grad_()

    targets = torch.softmax(draw(3, 4), dim=1).detach()
    assert torch.autograd.gradcheck(
        lambda pooled, centres: affinity_loss(pooled, centres, targets), (draw(3, 5), draw(4, 5))
    )
    assert torch.autograd.gradcheck(
        lambda vectors: partition_loss(scaled_heads(vectors)), (draw(2, 3, 4),)
    )


def test_partition_loss_falls_as_heads_part() -> None:
    near, far = torch.zeros(1, 3, 4), torch.zeros(1, 3, 4)
    near[0, 1:], far[0, 1:] = 0.1, 3.0
    assert partition_loss(far) < partition_loss(near)


def test_one_head_has_features_and_no_partition_loss() -> None:
    vectors = torch.randn(2, 1, 4)
    assert torch.equal(scaled_heads(vectors), vectors)
    assert float(partition_loss(vectors)) == 0.0


def test_all_weights_of_a_head_get_gradients() -> None:
    head = CrossAttention(CHANNELS).train()
    head(maps()).square().sum().backward()
    assert all(
        weight.grad is not None and weight.grad.any() for weight in head.spatial.parameters()
    )
