"""ONNX graphs from crops to features, for OpenVINO and ONNX Runtime alike.

The engines take one crop at a time: on a CPU that is as fast per frame as a batch, and a feature
is then the same bytes whatever the other crops are.  The batch is therefore fixed to 1, which also
suits a graph that was exported so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from common.errors import WorkError

PIXELS: Final = "mien_crop"
FEATURES: Final = "mien_features"
_OPSET: Final = 13
_AFTER_LOGITS: Final = frozenset({"Cast", "Identity", "LogSoftmax", "Softmax"})
_AFTER_CLASSIFIER: Final = _AFTER_LOGITS | {"Add"}


def read_onnx(path: Path) -> onnx.ModelProto:
    """The graph in a file.

    Raises:
        WorkError: the file cannot be read or is no ONNX graph.
    """
    try:
        # Weights in files beside it are never looked up: only this file was checked.
        return onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's has no public home with types
        raise WorkError(f"{path}: is not a readable ONNX graph ({error})") from error


def feature_graph(model: onnx.ModelProto, *, dimension: int, size: int) -> onnx.ModelProto:
    """The part of a classifier's graph from images to what its last linear layer sees.

    The last linear layer is the Gemm or MatMul that is reached from the only output, backwards
    through a bias and a softmax if there are any.

    Args:
        model: images (batch, 3, size, size) float32 to scores (batch, classes).
        dimension: of the features.
        size: side of the images.

    Returns:
        A graph with input (1, 3, size, size) and output `FEATURES`, (1, dimension).

    Raises:
        WorkError: the graph is another.
    """
    features = _classifier_input(model.graph, _makers(model.graph), dimension)
    return _part(model, [features], dimension, size)


def labelled_graph(
    model: onnx.ModelProto, *, dimension: int, outputs: int, size: int
) -> onnx.ModelProto:
    """As `feature_graph`, with the last linear layer's `outputs` logits behind the features.

    Returns:
        A graph with input (1, 3, size, size) and output `FEATURES`, (1, dimension + outputs).

    Raises:
        WorkError: the graph is another.
    """
    makers = _makers(model.graph)
    features = _classifier_input(model.graph, makers, dimension)
    scores = model.graph.output[0].name
    while makers[scores].op_type in _AFTER_LOGITS:
        scores = makers[scores].input[0]
    return _part(model, [features, scores], dimension + outputs, size)


def _makers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in graph.node for name in node.output}


def _part(
    model: onnx.ModelProto, wanted: Sequence[str], dimension: int, size: int
) -> onnx.ModelProto:
    """The part of a graph from its images to the wanted tensors, side by side."""
    image = _fixed_input(model.graph, size)
    makers = _makers(model.graph)
    needed = set[str]().union(*(_needed(makers, name) for name in wanted))
    nodes = [node for node in model.graph.node if any(name in needed for name in node.output)]
    if len(wanted) == 1:
        nodes.append(helper.make_node("Identity", list(wanted), [FEATURES]))
    else:
        nodes.append(helper.make_node("Concat", list(wanted), [FEATURES], axis=1))
    names = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in names]
    output = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [1, dimension])
    return _model(nodes, image, output, kept, like=model)


def with_pixels(
    model: onnx.ModelProto, *, mean: Sequence[float], std: Sequence[float], size: int
) -> onnx.ModelProto:
    """The graph with (level - mean) / std and the layout of pixels put before it.

    Args:
        model: one input (1, channels, size, size) float32.
        mean: per channel.
        std: per channel.
        size: side of the crop.

    Returns:
        A graph with input `PIXELS`, (1, size, size, channels) uint8, and the same output.
    """
    (image,) = model.graph.input
    channels = len(mean)
    constants = [
        numpy_helper.from_array(np.array(values, np.float32).reshape(1, channels, 1, 1), name)
        for name, values in (("mien_mean", mean), ("mien_std", std))
    ]
    nodes = [
        helper.make_node("Cast", [PIXELS], ["mien_levels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["mien_levels"], ["mien_planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["mien_planes", "mien_mean"], ["mien_centred"]),
        helper.make_node("Div", ["mien_centred", "mien_std"], [image.name]),
    ]
    pixels = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, [1, size, size, channels])
    tensors = [*constants, *model.graph.initializer]
    return _model([*nodes, *model.graph.node], pixels, model.graph.output[0], tensors, like=model)


class GraphWriter:
    """Writes a graph node by node; each method takes and returns names of tensors."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One operator with one output."""
        output = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, values: npt.NDArray[Any]) -> str:
        """A stored tensor."""
        name = f"w{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def convolution(
        self,
        maps: str,
        kernel: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32] | None = None,
        *,
        stride: int = 1,
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        groups: int = 1,
    ) -> str:
        """Kernel (outputs, inputs per group, height, width); pads top, left, bottom, right."""
        constants = [self.constant(values) for values in (kernel, bias) if values is not None]
        attributes = {"strides": [stride, stride], "pads": list(pads), "group": groups}
        return self.node("Conv", maps, *constants, **attributes)

    def finish(self, features: str, *, channels: int, size: int, dimension: int) -> onnx.ModelProto:
        """The graph from input "images", (1, channels, size, size), to `features`."""
        self._nodes.append(helper.make_node("Identity", [features], [FEATURES]))
        shape = [1, channels, size, size]
        image = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
        output = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [1, dimension])
        return _model(self._nodes, image, output, self._tensors)


def folded(
    kernel: npt.NDArray[np.float32],
    norm: dict[str, npt.NDArray[np.float32]],
    *,
    epsilon: float,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Kernel and bias of a convolution and the batch normalisation after it (Ioffe 2015).

    Args:
        kernel: (outputs, inputs per group, height, width).
        norm: "gamma", "beta", "moving_mean" and "moving_variance", (outputs,) each.
        epsilon: added to the variance.
    """
    deviation = np.sqrt(norm["moving_variance"].astype(np.float64) + epsilon)
    scale = norm["gamma"] / deviation
    bias = norm["beta"] - norm["moving_mean"] * scale
    scaled = kernel * scale.reshape(-1, 1, 1, 1)
    return scaled.astype(np.float32), bias.astype(np.float32)


def _model(
    nodes: Sequence[onnx.NodeProto],
    source: onnx.ValueInfoProto,
    output: onnx.ValueInfoProto,
    tensors: Sequence[onnx.TensorProto],
    like: onnx.ModelProto | None = None,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "features", [source], [output], tensors)
    opsets = like.opset_import if like else [helper.make_opsetid("", _OPSET)]
    ir = like.ir_version if like else 8
    return helper.make_model(graph, opset_imports=opsets, ir_version=max(ir, 4))


def _classifier_input(
    graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto], dimension: int
) -> str:
    if len(graph.output) != 1:
        raise WorkError(f"the ONNX graph has {len(graph.output)} outputs, expected 1: the scores")
    constants = {tensor.name: tensor for tensor in graph.initializer}
    name = graph.output[0].name
    while name in makers and makers[name].op_type in _AFTER_CLASSIFIER:
        name = next(source for source in makers[name].input if source not in constants)
    last = makers.get(name)
    if last is None or last.op_type not in ("Gemm", "MatMul"):
        found = last.op_type if last else "nothing"
        raise WorkError(f"the ONNX graph ends in {found}, expected a linear layer (Gemm or MatMul)")
    weight = constants.get(last.input[1])
    if weight is not None and dimension not in weight.dims:
        raise WorkError(
            f"the linear layer of the ONNX graph is {list(weight.dims)}, expected "
            f"{dimension} inputs"
        )
    return str(last.input[0])


def _fixed_input(graph: onnx.GraphProto, size: int) -> onnx.ValueInfoProto:
    """The input for one image; older graphs list their weights among the inputs too."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [source for source in graph.input if source.name not in constants]
    dims = [list(source.type.tensor_type.shape.dim) for source in inputs]
    expected = (1, 3, size, size)
    # A dimension without a value is free.
    if (
        len(inputs) != 1
        or len(dims[0]) != 4
        or any(
            dim.dim_value not in (0, length) for dim, length in zip(dims[0], expected, strict=True)
        )
    ):
        found = [[dim.dim_value or dim.dim_param or "?" for dim in each] for each in dims]
        raise WorkError(f"the ONNX graph takes {found}, expected one input (1, 3, {size}, {size})")
    return helper.make_tensor_value_info(inputs[0].name, TensorProto.FLOAT, expected)


def _needed(makers: dict[str, onnx.NodeProto], name: str) -> set[str]:
    """Names that lead to `name`, and itself."""
    found, waiting = set[str](), [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += makers[current].input if current in makers else []
    return found
