"""DAN: Wen, Lin, Wang and Xu, "Distract Your Attention: Multi-head Cross Attention Network for
Facial Expression Recognition", 2022, arXiv:2109.07270.

Three parts, after its section 3.  The feature clustering network (3.1) is any convolutional base;
its maps x' are pulled to a centre per class by the affinity loss.  The multi-head cross attention
network (3.2) looks at x' through K heads, each a spatial attention and then a channel attention.
The attention fusion network (3.3) scales the heads' vectors by a log-softmax over the heads and
adds them up; the partition loss drives the heads apart.  A linear layer and a batch normalisation
give the logits.

Written from the paper's equations.  Where it leaves something open we chose: the widths inside a
head (half of the channels, and a sixteenth for the channel attention), the variance between heads
without Bessel's correction, and for soft labels (MixUp) the affinity loss is its expectation over
the labels.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON: Final = 1e-6
"""Added to variances that are divided by."""
_SPATIAL_SHARE: Final = 2
_CHANNEL_SHARE: Final = 16


class SpatialAttention(nn.Module):
    """Where to look: S = x' * H(x') (section 3.2, the spatial attention's equation).

    H narrows the channels by a 1x1 convolution, looks around by a 3x3, a 1x3 and a 3x1 beside each
    other, each followed by batch normalisation, and sums over the channels after a ReLU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // _SPATIAL_SHARE)
        self.narrow = _convolution(channels, inner, (1, 1))
        self.around = nn.ModuleList(
            _convolution(inner, channels, kernel) for kernel in ((3, 3), (1, 3), (3, 1))
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to the same shape."""
        narrowed = self.narrow(maps)
        seen = torch.stack([look(narrowed) for look in self.around]).sum(dim=0)
        return maps * functional.relu(seen).sum(dim=1, keepdim=True)


class ChannelAttention(nn.Module):
    """What to look for: A = g * H'(g), g the mean of S over its places (section 3.2).

    H' is a small autoencoder of two linear layers that ends in a sigmoid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // _CHANNEL_SHARE)
        self.weigh = nn.Sequential(
            nn.Linear(channels, inner),
            nn.BatchNorm1d(inner),
            nn.ReLU(),
            nn.Linear(inner, channels),
            nn.Sigmoid(),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to a vector per image, (n, channels)."""
        pooled = maps.mean(dim=(2, 3))
        weighed: Tensor = self.weigh(pooled)
        return pooled * weighed


class CrossAttention(nn.Module):
    """One head: spatial, then channel attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = SpatialAttention(channels)
        self.channel = ChannelAttention(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, channels)."""
        attended: Tensor = self.channel(self.spatial(maps))
        return attended


def scaled_heads(vectors: Tensor) -> Tensor:
    """v_k = a_k - log(sum_j exp(a_j)), the log-softmax over heads (section 3.3).

    Args:
        vectors: (n, heads, channels).
    """
    # With one head there is nothing to compare with, and the log-softmax would be 0 everywhere.
    return functional.log_softmax(vectors, dim=1) if vectors.shape[1] > 1 else vectors


def affinity_loss(pooled: Tensor, centres: Tensor, targets: Tensor) -> Tensor:
    """Mean over images of |x' - c_y|^2 / sigma_c^2 (section 3.1, the affinity loss).

    sigma_c^2 is the variance between the centres, summed over the channels: small where all
    centres are alike, so that the loss also drives them apart.

    Args:
        pooled: (n, channels) the base's maps, averaged over their places.
        centres: (classes, channels), trained with the network.
        targets: (n, classes) shares that add up to 1; for a hard label one 1.
    """
    distances = (pooled[:, None] - centres[None]).square().sum(dim=2)
    spread = centres.var(dim=0, correction=0).sum() + EPSILON
    return (targets * distances).sum(dim=1).mean() / spread


def partition_loss(vectors: Tensor) -> Tensor:
    """Mean over images and channels of log(1 + K / sigma_ij^2) (section 3.3, the partition loss).

    sigma_ij^2 is the variance of channel j of image i between the K heads; 0 for one head.

    Args:
        vectors: (n, heads, channels), scaled.
    """
    heads = vectors.shape[1]
    if heads < 2:
        return vectors.sum() * 0.0
    variance = vectors.var(dim=1, correction=0)
    return torch.log1p(heads / (variance + EPSILON)).mean()


def _convolution(inputs: int, outputs: int, kernel: tuple[int, int]) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False), nn.BatchNorm2d(outputs)
    )
