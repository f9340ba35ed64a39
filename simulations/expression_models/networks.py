"""The networks: a base by timm, and a linear head or DAN's attention on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from common.errors import UsageError, WorkError
from common.randomness import generator
from simulations.expression_models.dan import (
    CrossAttention,
    affinity_loss,
    partition_loss,
    scaled_heads,
)

_LARGEST_SEED: Final = 2**63


class Seen(NamedTuple):
    """What a network makes of a batch.

    Attributes:
        features: (n, dimension) what the last linear layer sees.
        logits: (n, classes).
        pooled: (n, channels) the base's maps, averaged over their places.
        heads: (n, heads, channels) scaled attention vectors; without attention (n, 0, channels).
    """

    features: Tensor
    logits: Tensor
    pooled: Tensor
    heads: Tensor


@dataclass(frozen=True, kw_only=True)
class NetworkKind:
    """One network by name.

    Attributes:
        id: name in commands.
        base: timm's name of the base.
        heads: of cross attention; 0 for a linear head on the pooled maps.
        about: what it is, in words.
    """

    id: str
    base: str
    heads: int = 0
    about: str


def _kinds(*kinds: NetworkKind) -> Mapping[str, NetworkKind]:
    return MappingProxyType({kind.id: kind for kind in kinds})


_DAN: Final = "DAN (Wen et al. 2022, arXiv:2109.07270)"

NETWORKS: Final = _kinds(
    NetworkKind(id="resnet50", base="resnet50", about="ResNet-50, linear head"),
    NetworkKind(
        id="efficientnet-b4", base="tf_efficientnet_b4", about="EfficientNet-B4, linear head"
    ),
    NetworkKind(
        id="efficientnetv2-s", base="tf_efficientnetv2_s", about="EfficientNetV2-S, linear head"
    ),
    NetworkKind(id="dan-resnet18", base="resnet18", heads=4, about=f"{_DAN}, ResNet-18, 4 heads"),
    NetworkKind(
        id="dan-efficientnetv2-s",
        base="tf_efficientnetv2_s",
        heads=4,
        about=f"{_DAN}, EfficientNetV2-S (1280 channels), 4 heads",
    ),
    NetworkKind(
        id="dan-efficientnetv2-s-5",
        base="tf_efficientnetv2_s",
        heads=5,
        about=f"{_DAN}, EfficientNetV2-S (1280 channels), 5 heads",
    ),
    NetworkKind(id="tiny", base="test_resnet", about="timm's test_resnet, linear head; for tests"),
    NetworkKind(
        id="dan-tiny", base="test_resnet", heads=2, about=f"{_DAN}, test_resnet, 2 heads; for tests"
    ),
)


class ExpressionNetwork(nn.Module):
    """A base, a head, and what the head adds to the loss."""

    def __init__(self, kind: NetworkKind, classes: int) -> None:
        """Weights are drawn from torch's default generator, see `make_network`."""
        super().__init__()
        import timm

        self.kind = kind
        self.base: nn.Module = timm.create_model(
            kind.base, pretrained=False, num_classes=0, global_pool=""
        )
        self.dimension = int(self.base.num_features)  # type: ignore[arg-type]
        self.classes = classes
        self.attention = nn.ModuleList(CrossAttention(self.dimension) for _ in range(kind.heads))
        self.linear = nn.Linear(self.dimension, classes)
        self.norm: nn.Module = nn.BatchNorm1d(classes) if kind.heads else nn.Identity()
        if kind.heads:
            self.centres = nn.Parameter(torch.randn(classes, self.dimension))

    def look(self, images: Tensor) -> Seen:
        """What it makes of normalised images, (n, 3, size, size)."""
        maps = self.base(images)
        pooled = maps.mean(dim=(2, 3))
        if not self.attention:
            heads = pooled.new_zeros(len(pooled), 0, self.dimension)
            return Seen(pooled, self.linear(pooled), pooled, heads)
        heads = scaled_heads(torch.stack([head(maps) for head in self.attention], dim=1))
        features = heads.sum(dim=1)
        return Seen(features, self.norm(self.linear(features)), pooled, heads)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features, (n, dimension), and logits, (n, classes)."""
        seen = self.look(images)
        return seen.features, seen.logits

    def auxiliary_loss(self, seen: Seen, targets: Tensor) -> Tensor:
        """What is added to the cross-entropy: for DAN affinity and partition loss, weighed 1 each.

        Args:
            seen: of a batch.
            targets: (n, classes) shares that add up to 1.
        """
        if not self.attention:
            return seen.pooled.sum() * 0.0
        drawn = affinity_loss(seen.pooled, self.centres, targets)
        return drawn + partition_loss(seen.heads)


def network_kind(id: str) -> NetworkKind:
    """A kind by its id.

    Raises:
        UsageError: there is none of this id.
    """
    if id not in NETWORKS:
        raise UsageError(f"there is no network {id!r}; choose one of: {', '.join(NETWORKS)}")
    return NETWORKS[id]


def make_network(
    id: str, classes: int, *, weights: Path | None = None, seed: int = 0
) -> ExpressionNetwork:
    """A network with weights drawn by a seed, or its base's from a file; nothing is downloaded.

    Args:
        id: of `NETWORKS`.
        classes: number of expressions, at least 2.
        weights: safetensors or `torch.save` of a state dict, of the base as timm names it (its
            classifier is passed over) or of a whole network that was trained here.
        seed: of the weights that are not from the file.

    Raises:
        UsageError: there is no such network.
        WorkError: the file can't be read or its weights are another network's.
    """
    kind = network_kind(id)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "network"))
        network = ExpressionNetwork(kind, classes)
    if weights is not None:
        load_weights(network, weights)
    return network


def load_weights(network: ExpressionNetwork, path: Path) -> None:
    """Give a network the weights of a file, all that fit by name and shape.

    Heads of another number of classes keep their own weights: that is how a network trained on
    seven expressions goes on with eight.

    Raises:
        WorkError: the file can't be read, or lacks weights of the base.
    """
    from common.weights.tensors import read_state_dict

    state = read_state_dict(path)
    whole = any(name.startswith("base.") for name in state)
    named = state if whole else {f"base.{name}": value for name, value in state.items()}
    expected = network.state_dict()
    fitting = {
        name: value
        for name, value in named.items()
        if name in expected and value.shape == expected[name].shape
    }
    missing = sorted(name for name in expected if name.startswith("base.") and name not in fitting)
    if missing:
        raise WorkError(
            f"{path}: its weights are not those of timm's {network.kind.base}: {len(missing)} "
            f"arrays are missing or of another shape, the first is {missing[0]!r}"
        )
    network.load_state_dict({**expected, **fitting})


def torch_seed(seed: int, purpose: str, *, round: int = 0, user: int = 0) -> int:
    """A seed for torch that is a function of its coordinates, see `common.randomness`."""
    return int(generator(seed, purpose, round=round, user=user).integers(_LARGEST_SEED))
