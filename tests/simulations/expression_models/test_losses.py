"""The loss of a step against loops over faces."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from simulations.expression_models.losses import StepLoss, balanced_weights
from simulations.expression_models.networks import Seen

CLASSES = 3


class FlatNetwork:
    """Logits are the mean of each channel; a fixed auxiliary loss."""

    def look(self, images: torch.Tensor) -> Seen:
        logits = images.mean(dim=(2, 3))
        return Seen(logits, logits, logits, logits[:, None])

    def auxiliary_loss(self, seen: Seen, targets: torch.Tensor) -> torch.Tensor:
        assert seen.logits.shape == targets.shape
        return torch.tensor(0.25)


def entropy(logits: torch.Tensor, shares: list[float], weights: list[float]) -> float:
    total = sum(math.exp(value) for value in logits.tolist())
    return -sum(
        w * t * math.log(math.exp(v) / total)
        for w, t, v in zip(weights, shares, logits.tolist(), strict=True)
    )


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 3
    return images, torch.tensor([0, 2, 1, 1, 0])


def one_hot(label: int) -> list[float]:
    return [float(c == label) for c in range(CLASSES)]


def test_cross_entropy_with_class_weights() -> None:
    images, labels = batch()
    weights = [0.5, 2.0, 1.0]
    loss = StepLoss(CLASSES, torch.tensor(weights))
    means = images.mean(dim=(2, 3))
    terms = [entropy(x, one_hot(int(y)), weights) for x, y in zip(means, labels, strict=True)]
    assert float(loss(FlatNetwork(), images, labels)) == pytest.approx(np.mean(terms) + 0.25)


@pytest.mark.parametrize("mix", ["mixup", "mixaugment"])
def test_mixed_losses(mix: str) -> None:
    images, labels = batch()
    torch.manual_seed(7)
    found = float(StepLoss(CLASSES, mix=mix, alpha=0.4)(FlatNetwork(), images, labels))
    torch.manual_seed(7)
    mixed, shares = v2.MixUp(alpha=0.4, num_classes=CLASSES)(images, labels)
    share = float(shares[1, 2]) if labels[1] != labels[0] else 1.0
    ones = [1.0] * CLASSES
    terms = []
    for i in range(len(images)):
        one, other = one_hot(int(labels[i])), one_hot(int(labels[i - 1]))
        soft = [share * a + (1 - share) * b for a, b in zip(one, other, strict=True)]
        virtual = share * images[i] + (1 - share) * images[i - 1]
        assert torch.allclose(virtual, mixed[i], atol=1e-5)
        term = entropy(virtual.mean(dim=(1, 2)), soft, ones)
        if mix == "mixaugment":
            term += entropy(images[i].mean(dim=(1, 2)), one, ones)
            term += entropy(images[i - 1].mean(dim=(1, 2)), other, ones)
        terms.append(term)
    assert found == pytest.approx(np.mean(terms) + 0.25, abs=1e-5)


def test_balanced_weights_have_mean_one_over_faces() -> None:
    counts = np.array([90, 9, 0, 1])
    weights = balanced_weights(counts).numpy()
    np.testing.assert_allclose(weights[[0, 1, 3]], [100 / 270, 100 / 27, 100 / 3], rtol=1e-6)
    assert weights[2] == 0
    assert float((weights * counts).sum()) == pytest.approx(counts.sum())
