"""Networks in torch with the weights of backbones: oracles of the engines, and trainable.

Each maps normalised images, (n, channels, size, size) float32, to features, (n, dimension).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.backbones.keras import BN_PARTS, EPSILON
from common.backbones.mobilenet import KerasLayers, Layer, layer_weights, layers, pads
from common.errors import WorkError

_EFFICIENTNETS: Final = {1280: "tf_efficientnet_b0", 1408: "tf_efficientnet_b2"}


class MobileNet(nn.Module):
    """Keras's MobileNet-v1 of width 1 without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleDict({layer.name: _unit(layer) for layer in layers()})
        self._layers = layers()

    def forward(self, images: Tensor) -> Tensor:
        """Features, (n, 1024)."""
        maps = images
        for layer in self._layers:
            top, left, bottom, right = pads(layer)
            maps = self.units[layer.name](functional.pad(maps, (left, right, top, bottom)))
        return maps.mean(dim=(2, 3))


def mobilenet_twin(keras: KerasLayers) -> MobileNet:
    """The network with the weights of an h5 file.

    Raises:
        WorkError: they are not those of a MobileNet-v1.
    """
    network, state = MobileNet(), dict[str, Tensor]()
    for layer in layers():
        weights = layer_weights(keras, layer)
        name = f"units.{layer.name}"
        state[f"{name}.0.weight"] = torch.from_numpy(weights.kernel)
        for part, keras_part in BN_PARTS.items():
            state[f"{name}.1.{part}"] = torch.from_numpy(weights.norm[keras_part])
        state[f"{name}.1.num_batches_tracked"] = torch.tensor(0)
    network.load_state_dict(state)
    return network


def efficientnet_twin(state: Mapping[str, Tensor], *, dimension: int) -> nn.Module:
    """timm's EfficientNet without its classifier, which `state` may have or not.

    Raises:
        WorkError: `state` is not that of the EfficientNet with this dimension.
    """
    import timm  # takes seconds

    network: nn.Module = timm.create_model(
        _EFFICIENTNETS[dimension], pretrained=False, num_classes=0
    )
    kept = {name: value for name, value in state.items() if not name.startswith("classifier.")}
    expected = network.state_dict()
    wrong = sorted(
        name
        for name in expected.keys() | kept.keys()
        if name not in expected or name not in kept or kept[name].shape != expected[name].shape
    )
    if wrong:
        raise WorkError(
            f"the weights are not those of {_EFFICIENTNETS[dimension]}: {len(wrong)} of "
            f"{len(expected)} arrays do not fit, the first is {wrong[0]!r}"
        )
    network.load_state_dict(kept)
    return network


def _unit(layer: Layer) -> nn.Sequential:
    outputs, inputs, side, _ = layer.shape
    groups = outputs if layer.depthwise else 1
    return nn.Sequential(
        nn.Conv2d(inputs * groups, outputs, side, stride=layer.stride, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=EPSILON),
        nn.ReLU6(),
    )
