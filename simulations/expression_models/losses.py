"""The loss of one step: cross-entropy, class weights, and mixed faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2  # type: ignore[import-untyped]

from simulations.expression_models.faces import Labels

if TYPE_CHECKING:
    from simulations.expression_models.networks import ExpressionNetwork


def balanced_weights(counts: Labels) -> Tensor:
    """Weight n / (classes * n_class) of each class, (classes,) float32; 0 where it has no face.

    The faces' mean weight is 1, so that the learning rate means what it meant.

    Args:
        counts: (classes,) faces of each class.
    """
    faces = torch.from_numpy(counts).double()
    weights = faces.sum() / ((faces > 0).sum() * faces)
    return torch.where(faces > 0, weights, 0.0).float()


@dataclass(frozen=True)
class StepLoss:
    """Loss of a batch.

    Attributes:
        classes: number of them.
        weights: (classes,) of the cross-entropy, or None.
        mix: "none"; "mixup": faces and labels are replaced by mixtures of two (Zhang et al. 2018);
            "mixaugment": the loss of the mixtures and those of both originals are added up
            (Psaroudakis and Kollias 2022, arXiv:2205.04442).
        alpha: the mixing share is drawn from Beta(alpha, alpha), once per batch.
    """

    classes: int
    weights: Tensor | None = None
    mix: str = "none"
    alpha: float = 0.2

    def __call__(self, network: ExpressionNetwork, images: Tensor, labels: Tensor) -> Tensor:
        """Mean loss over a batch.

        Args:
            network: in training mode.
            images: (n, 3, size, size) normalised.
            labels: (n,) int64.
        """
        targets = functional.one_hot(labels, self.classes).to(images.dtype)
        if self.mix == "none":
            seen = network.look(images)
            return self.entropy(seen.logits, targets) + network.auxiliary_loss(seen, targets)
        mixed, shares = v2.MixUp(alpha=self.alpha, num_classes=self.classes)(images, labels)
        if self.mix == "mixup":
            seen = network.look(mixed)
            return self.entropy(seen.logits, shares) + network.auxiliary_loss(seen, shares)
        # One pass over mixtures and originals, so that batch normalisation sees both.
        seen = network.look(torch.cat([mixed, images]))
        virtual, real = seen.logits[: len(mixed)], seen.logits[len(mixed) :]
        # Face i is mixed with face i - 1: over a batch both originals are all its faces.
        entropy = self.entropy(virtual, shares) + 2 * self.entropy(real, targets)
        return entropy + network.auxiliary_loss(seen, torch.cat([shares, targets]))

    def entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over images of -sum_c w_c t_c log softmax(logits)_c."""
        return functional.cross_entropy(logits, targets, weight=self.weights)
