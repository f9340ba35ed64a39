"""Cutting a classifier's graph where its last linear layer begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from common.backbones.onnx_graph import feature_graph, folded, read_onnx, with_pixels
from common.errors import WorkError
from tests.common.backbones import networks

SIZE = 8
DIMENSION = 5


def classifier(
    tail: Sequence[onnx.NodeProto], *, batch: int | str = "batch", outputs: Sequence[str] = ("out",)
) -> onnx.ModelProto:
    """Convolution and pooling to "pooled", (batch, 5), then `tail`."""
    random = np.random.default_rng(1)
    tensors = {
        "kernel": random.normal(size=(DIMENSION, 3, 3, 3)),
        "weight": random.normal(size=(2, DIMENSION)),
        "turned": random.normal(size=(DIMENSION, 2)),
        "bias": random.normal(size=2),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["pooled"]),
        *tail,
    ]
    float32 = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", float32, [batch, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(name, float32, None) for name in outputs],
        [
            numpy_helper.from_array(array.astype(np.float32), name)
            for name, array in tensors.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def gemm(output: str = "out") -> onnx.NodeProto:
    return helper.make_node("Gemm", ["pooled", "weight", "bias"], [output], transB=1)


TAILS = {
    "gemm": [gemm()],
    "gemm and softmax": [gemm("scores"), helper.make_node("Softmax", ["scores"], ["out"])],
    "matmul and bias": [
        helper.make_node("MatMul", ["pooled", "turned"], ["product"]),
        helper.make_node("Add", ["bias", "product"], ["out"]),
    ],
    "side branch": [gemm(), helper.make_node("Relu", ["maps"], ["unused"])],
}


def run(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {model.graph.input[0].name: values})[0]


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS.keys())
@pytest.mark.parametrize("batch", ["batch", 1])
def test_features_are_what_the_linear_layer_sees(
    tail: list[onnx.NodeProto], batch: int | str
) -> None:
    model = classifier(tail, batch=batch)
    image = np.random.default_rng(2).normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
    features = run(feature_graph(model, dimension=DIMENSION, size=SIZE), image)
    kernel = numpy_helper.to_array(model.graph.initializer[0])
    windows = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3), axis=(1, 2))
    maps = np.einsum("cijab,dcab->dij", windows, kernel)
    assert np.allclose(features, maps.mean(axis=(1, 2)), atol=1e-5)


def test_what_is_not_needed_is_left_out() -> None:
    cut = feature_graph(classifier(TAILS["side branch"]), dimension=DIMENSION, size=SIZE)
    assert [tensor.name for tensor in cut.graph.initializer] == ["kernel"]
    assert "Relu" not in {node.op_type for node in cut.graph.node}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 255)), min_size=3, max_size=3))
def test_pixels_are_normalised_before_the_network(levels: list[tuple[int, int]]) -> None:
    mean, std = zip(*levels, strict=True)
    cut = feature_graph(classifier([gemm()]), dimension=DIMENSION, size=SIZE)
    crop = np.random.default_rng(3).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    image = ((crop.astype(np.float64) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    whole = with_pixels(cut, mean=mean, std=std, size=SIZE)
    assert np.allclose(run(whole, crop), run(cut, image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (classifier([gemm()], batch=4), r"takes \[\[4, 3, 8, 8\]\], expected one input"),
        (classifier([gemm(), gemm("more")], outputs=("out", "more")), "has 2 outputs"),
        (classifier([helper.make_node("Relu", ["pooled"], ["out"])]), "ends in Relu"),
        (classifier([], outputs=("image",)), "ends in nothing"),
    ],
)
def test_other_graphs_are_refused(model: onnx.ModelProto, sentence: str) -> None:
    with pytest.raises(WorkError, match=sentence):
        feature_graph(model, dimension=DIMENSION, size=SIZE)


def test_another_dimension_or_size_is_refused() -> None:
    with pytest.raises(WorkError, match=r"is \[2, 5\], expected 6 inputs"):
        feature_graph(classifier([gemm()]), dimension=6, size=SIZE)
    with pytest.raises(WorkError, match=r"expected one input \(1, 3, 9, 9\)"):
        feature_graph(classifier([gemm()]), dimension=DIMENSION, size=9)


def test_files_that_are_no_graphs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"missing\.onnx: is not a readable ONNX graph"):
        read_onnx(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(WorkError, match=r"text\.onnx: is not a readable ONNX graph"):
        read_onnx(tmp_path / "text.onnx")


def test_folding_is_convolution_then_normalisation() -> None:
    random = np.random.default_rng(4)
    kernel = random.normal(size=(3, 2, 1, 1)).astype(np.float32)
    norm = {part: random.uniform(0.5, 2, 3).astype(np.float32) for part in ("gamma", "beta")}
    norm |= {"moving_mean": norm["beta"] * 3, "moving_variance": norm["gamma"] * 2}
    pixel = random.normal(size=2)
    folded_kernel, bias = folded(kernel, norm, epsilon=0.1)
    plain = kernel[:, :, 0, 0] @ pixel
    deviation = np.sqrt(norm["moving_variance"] + 0.1)
    expected = norm["gamma"] * (plain - norm["moving_mean"]) / deviation + norm["beta"]
    assert np.allclose(folded_kernel[:, :, 0, 0] @ pixel + bias, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("dynamo", [True, False])
def test_both_exporters_of_torch_are_understood(
    tmp_path: Path, dynamo: bool, dynamic: bool
) -> None:
    network = networks.efficientnet(networks.B0)
    path = networks.export(network, tmp_path / "b0.onnx", 224, dynamo=dynamo, dynamic=dynamic)
    image = np.random.default_rng(5).normal(size=(1, 3, 224, 224)).astype(np.float32)
    found = run(feature_graph(read_onnx(path), dimension=1280, size=224), image)
    import torch

    with torch.inference_mode():
        maps = network.forward_features(torch.from_numpy(image))
        expected = network.forward_head(maps, pre_logits=True).numpy()
    assert np.allclose(found, expected, atol=1e-3)
