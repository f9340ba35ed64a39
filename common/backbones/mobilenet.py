"""MobileEmotiFace: MobileNet-v1 (Howard et al. 2017) as Keras builds it, from its h5 file.

The genuine file holds a convolution, 13 pairs of depthwise and pointwise convolutions, the mean
over positions ("global_pooling", 1024 values: the frame feature, as its authors use it), a dropout
and two dense layers ("feats", 256, and "emotion_preds", 7), which are not needed here.  Batch
normalisation follows each convolution, then the maximum with 0 and the minimum with 6.  A strided
convolution is padded at the end only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from common.backbones.keras import BN_PARTS, EPSILON, torch_layout
from common.backbones.onnx_graph import GraphWriter, folded
from common.errors import WorkError

DIMENSION: Final = 1024
_PAIRS: Final = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5)
PAIRS: Final = (*_PAIRS, (1024, 2), (1024, 1))
"""Channels after each pair, and the stride of its depthwise convolution."""

KerasLayers = Mapping[str, Mapping[str, npt.NDArray[np.generic]]]
"""Layer to path below it, as "conv1/kernel:0", to values; see `read_keras_h5`."""


class Layer(NamedTuple):
    """A convolution with the normalisation after it.

    Attributes:
        name: of the convolution in the file; the normalisation is called `name`_bn.
        part: of the convolution, "kernel" or "depthwise_kernel".
        shape: of its kernel in torch's layout.
        stride: in both directions.
    """

    name: str
    part: str
    shape: tuple[int, int, int, int]
    stride: int

    @property
    def depthwise(self) -> bool:
        """One kernel per channel."""
        return self.part == "depthwise_kernel"


class Weights(NamedTuple):
    """Kernel in torch's layout, and normalisation by Keras's names."""

    kernel: npt.NDArray[np.float32]
    norm: dict[str, npt.NDArray[np.float32]]


def layers() -> list[Layer]:
    """All 27 convolutions, in their order."""
    found = [Layer("conv1", "kernel", (32, 3, 3, 3), 2)]
    inputs = 32
    for number, (outputs, stride) in enumerate(PAIRS, start=1):
        found += [
            Layer(f"conv_dw_{number}", "depthwise_kernel", (inputs, 1, 3, 3), stride),
            Layer(f"conv_pw_{number}", "kernel", (outputs, inputs, 1, 1), 1),
        ]
        inputs = outputs
    return found


def layer_weights(keras: KerasLayers, layer: Layer) -> Weights:
    """The weights of one convolution.

    Raises:
        WorkError: they are missing, twice there, or of another shape.
    """
    kernel = _values(keras, layer.name, layer.part)
    if kernel.ndim == 4:
        kernel = torch_layout(kernel, depthwise=layer.depthwise)
    channels = (layer.shape[0],)
    norm = {part: _values(keras, f"{layer.name}_bn", part) for part in BN_PARTS.values()}
    for part, values, shape in (
        (layer.part, kernel, layer.shape),
        *((part, values, channels) for part, values in norm.items()),
    ):
        if values.shape != shape:
            raise WorkError(
                f"{part} of {layer.name} in the MobileNet weights is {values.shape}, "
                f"expected {shape}"
            )
    return Weights(kernel, norm)


def mobilenet_graph(keras: KerasLayers) -> onnx.ModelProto:
    """(1, 3, 224, 224) float32, normalised, to features, (1, 1024)."""
    writer = GraphWriter()
    six = [writer.constant(np.array(value, np.float32)) for value in (0, 6)]
    maps = "images"
    for layer in layers():
        weights = layer_weights(keras, layer)
        kernel, bias = folded(weights.kernel, weights.norm, epsilon=EPSILON)
        maps = writer.convolution(
            maps,
            kernel,
            bias,
            stride=layer.stride,
            pads=pads(layer),
            groups=layer.shape[0] if layer.depthwise else 1,
        )
        maps = writer.node("Clip", maps, *six)
    pooled = writer.node("GlobalAveragePool", maps)
    features = writer.node("Flatten", pooled, axis=1)
    return writer.finish(features, channels=3, size=224, dimension=DIMENSION)


def pads(layer: Layer) -> tuple[int, int, int, int]:
    """Top, left, bottom, right: Keras pads a strided 3 x 3 by ((0, 1), (0, 1))."""
    if layer.shape[2] == 1:
        return (0, 0, 0, 0)
    return (0, 0, 1, 1) if layer.stride == 2 else (1, 1, 1, 1)


def _values(keras: KerasLayers, name: str, part: str) -> npt.NDArray[np.float32]:
    """Of a nested model, the path names the layer."""
    end = [name, f"{part}:0"]
    found = [
        values
        for layer, arrays in keras.items()
        for path, values in arrays.items()
        if f"{layer}/{path}".split("/")[-2:] == end
    ]
    if len(found) != 1:
        raise WorkError(
            f"the MobileNet weights have {len(found)} arrays {'/'.join(end)}, expected 1"
        )
    return np.asarray(found[0], dtype=np.float32)
