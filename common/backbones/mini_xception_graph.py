"""mini-Xception as an ONNX graph, written from its weights without torch.

See `mini_xception` for the network.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx

from common.backbones.keras import BN_PARTS, EPSILON, same_padding
from common.backbones.mini_xception_weights import BLOCKS, WIDTHS, Arrays
from common.backbones.onnx_graph import GraphWriter, folded

_LENGTHS: Final = (60, 30, 15, 8)
"""Side of the maps before each block's pooling."""


def mini_xception_graph(arrays: Arrays, *, labels: bool = False) -> onnx.ModelProto:
    """(1, 1, 64, 64) float32 in -1..1 to the means of the last maps, (1, 128).

    With `labels` the classifier's seven logits follow, (1, 135).
    """
    writer = GraphWriter()
    maps = "images"
    for convolution, norm in (("stem.0", "stem.1"), ("stem.3", "stem.4")):
        maps = writer.node("Relu", _normalised(writer, arrays, maps, convolution, norm))
    for block in BLOCKS:
        maps = _block(writer, arrays, maps, block)
    features = _means(writer, maps)
    if not labels:
        return writer.finish(features, channels=1, size=64, dimension=WIDTHS[-1])
    kernel, bias = arrays["classifier.weight"], arrays["classifier.bias"]
    scores = _means(writer, writer.convolution(maps, kernel, bias, pads=(1, 1, 1, 1)))
    both = writer.node("Concat", features, scores, axis=1)
    return writer.finish(both, channels=1, size=64, dimension=WIDTHS[-1] + len(bias))


def _means(writer: GraphWriter, maps: str) -> str:
    return writer.node("Flatten", writer.node("GlobalAveragePool", maps), axis=1)


def _block(writer: GraphWriter, arrays: Arrays, maps: str, block: int) -> str:
    name = f"blocks.{block}"
    beside = _normalised(writer, arrays, maps, f"{name}.shortcut", f"{name}.shortcut_norm", 2)
    inner = writer.node("Relu", _separable(writer, arrays, maps, f"{name}.first"))
    inner = _separable(writer, arrays, inner, f"{name}.second")
    before, after = same_padding(_LENGTHS[block], 3, 2)
    pads = [before, before, after, after]
    pooled = writer.node("MaxPool", inner, kernel_shape=[3, 3], strides=[2, 2], pads=pads)
    return writer.node("Add", pooled, beside)


def _separable(writer: GraphWriter, arrays: Arrays, maps: str, name: str) -> str:
    kernel = arrays[f"{name}.depthwise.weight"]
    each = writer.convolution(maps, kernel, pads=(1, 1, 1, 1), groups=len(kernel))
    return _normalised(writer, arrays, each, f"{name}.pointwise", f"{name}_norm")


def _normalised(
    writer: GraphWriter, arrays: Arrays, maps: str, name: str, norm: str, stride: int = 1
) -> str:
    parts = {keras: np.asarray(arrays[f"{norm}.{part}"]) for part, keras in BN_PARTS.items()}
    kernel, bias = folded(arrays[f"{name}.weight"], parts, epsilon=EPSILON)
    return writer.convolution(maps, kernel, bias, stride=stride)
