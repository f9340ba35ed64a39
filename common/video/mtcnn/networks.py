"""P-Net, R-Net and O-Net as OpenVINO graphs.

Layer by layer the networks of facenet-pytorch: pictures come as uint8 (n, height, width, 3), are
scaled to -1..1 inside the graph, and flattened as (width, height, channel) before dense layers.
All run in float32 on any CPU, so that boxes do not depend on what the machine's matrix unit does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from common.openvino_core import openvino_core
from common.video.mtcnn.weights import Weights

Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NetworkShape:
    """Pooling (kernel, stride) after the first convolutions, and the side of the input.

    `side` is 0 where the network runs over pictures of any size.
    """

    side: int
    pools: tuple[tuple[int, int], ...]
    convolutions: int
    stage: str
    outputs: int


P_NET: Final = NetworkShape(0, ((2, 2),), 3, "4", 2)
R_NET: Final = NetworkShape(24, ((3, 2), (3, 2)), 3, "5", 2)
O_NET: Final = NetworkShape(48, ((3, 2), (3, 2), (2, 2)), 4, "6", 3)


class Network:
    """One compiled network."""

    def __init__(self, name: str, shape: NetworkShape, weights: Weights, threads: int) -> None:
        own = {k.split(".", 1)[1]: v for k, v in weights.items() if k.startswith(f"{name}.")}
        config = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._outputs = shape.outputs
        compiled = openvino_core().compile_model(_graph(shape, own), "CPU", config)
        self._request = compiled.create_infer_request()

    def __call__(self, pictures: Pixels) -> tuple[Numbers, ...]:
        """(probability of a face, box offsets[, landmarks]) of pictures of one size.

        Args:
            pictures: (n, side, side, 3) uint8 RGB; any height and width for P-Net.

        Returns:
            For R-Net and O-Net (n,), (n, 4) and (n, 10: five x, then five y); for P-Net the same
            as maps, (n, rows, columns) and (n, 4, rows, columns).
        """
        self._request.infer([pictures])
        found = [
            np.array(self._request.get_output_tensor(i).data, dtype=np.float32)
            for i in range(self._outputs)
        ]
        return found[0][:, 1], *found[1:]


def _graph(shape: NetworkShape, weights: Weights) -> Any:
    side = shape.side or -1
    pictures = ops.parameter([-1, side, side, 3], np.uint8, name="pictures")
    centred = ops.subtract(ops.convert(pictures, np.float32), np.array(127.5, np.float32))
    scaled = ops.multiply(centred, np.array(1 / 128, np.float32))
    maps = ops.transpose(scaled, np.array([0, 3, 1, 2]))
    for number in range(1, shape.convolutions + 1):
        maps = _convolution(maps, weights, f"conv{number}")
        maps = ops.prelu(maps, weights[f"prelu{number}.weight"])
        if number <= len(shape.pools):
            maps = _pool(maps, *shape.pools[number - 1])
    kind, layer = ("dense", _dense) if shape.side else ("conv", _convolution)
    if shape.side:
        maps = _dense_trunk(maps, weights, int(shape.stage) - 1)
    heads = [
        layer(maps, weights, f"{kind}{shape.stage}_{number}")
        for number in range(1, shape.outputs + 1)
    ]
    heads[0] = ops.softmax(heads[0], axis=1)
    return ov.Model(heads, [pictures])


def _dense_trunk(maps: Any, weights: Weights, number: int) -> Any:
    turned = ops.transpose(maps, np.array([0, 3, 2, 1]))
    flat = ops.reshape(turned, np.array([0, -1]), special_zero=True)
    return ops.prelu(_dense(flat, weights, f"dense{number}"), weights[f"prelu{number}.weight"])


def _convolution(maps: Any, weights: Weights, name: str) -> Any:
    one, none = [1, 1], [0, 0]
    kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    product = ops.convolution(maps, kernel, one, none, none, one)
    return ops.add(product, bias.reshape(1, -1, 1, 1))


def _dense(rows: Any, weights: Weights, name: str) -> Any:
    product = ops.matmul(rows, weights[f"{name}.weight"], False, True)
    return ops.add(product, weights[f"{name}.bias"].reshape(1, -1))


def _pool(maps: Any, kernel: int, stride: int) -> Any:
    pooled = ops.max_pool(
        maps,
        [stride] * 2,
        [1, 1],
        [0, 0],
        [0, 0],
        [kernel] * 2,
        rounding_type="ceil",
    )
    return pooled.output(0)
