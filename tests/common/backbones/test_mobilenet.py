"""MobileNet-v1 against a slow oracle, written from Keras's layer definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from common.backbones.mobilenet import Layer, layers, mobilenet_graph, pads
from common.backbones.twins import MobileNet, mobilenet_twin
from common.errors import WorkError
from common.weights.keras import read_keras_h5
from tests.common.backbones.networks import keras_mobilenet_layers, write_keras

Maps = np.ndarray
"""(rows, columns, channels) float64."""


class Oracle:
    def __init__(self, weights: dict[str, dict[str, np.ndarray]]) -> None:
        self.weights = weights

    def unit(self, maps: Maps, name: str, *, stride: int, depthwise: bool) -> Maps:
        parts = self.weights[name]
        kernel = parts["depthwise_kernel" if depthwise else "kernel"].astype(np.float64)
        side = kernel.shape[0]
        if side == 3:
            around = (0, 1) if stride == 2 else (1, 1)
            maps = np.pad(maps, [around, around, (0, 0)])
        rows, columns = ((length - side) // stride + 1 for length in maps.shape[:2])
        out = np.empty((rows, columns, kernel.shape[2] if depthwise else kernel.shape[3]))
        for i in range(rows):
            for j in range(columns):
                window = maps[i * stride : i * stride + side, j * stride : j * stride + side]
                if depthwise:
                    out[i, j] = (window * kernel[..., 0]).sum(axis=(0, 1))
                else:
                    out[i, j] = np.tensordot(window, kernel, axes=3)
        norm = self.weights[f"{name}_bn"]
        scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + 1e-3)
        return np.clip((out - norm["moving_mean"]) * scale + norm["beta"], 0, 6)

    def features(self, image: Maps) -> np.ndarray:
        maps = self.unit(image, "conv1", stride=2, depthwise=False)
        for number in range(1, 14):
            stride = 2 if number in (2, 4, 6, 12) else 1
            maps = self.unit(maps, f"conv_dw_{number}", stride=stride, depthwise=True)
            maps = self.unit(maps, f"conv_pw_{number}", stride=1, depthwise=False)
        return maps.mean(axis=(0, 1))


def test_network_matches_the_oracle() -> None:
    """On a small picture: the network has no fixed size."""
    weights = keras_mobilenet_layers()
    image = np.random.default_rng(1).normal(size=(64, 64, 3))
    network = mobilenet_twin(as_read(weights)).eval()
    planes = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))
    with torch.inference_mode():
        found = network(planes)[0].numpy()
    expected = Oracle(weights).features(image)
    assert np.abs(found - expected).max() < 1e-3
    assert (expected > 0).mean() > 0.2


def as_read(weights: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    return {
        layer: {f"{layer}/{part}:0": values for part, values in parts.items()}
        for layer, parts in weights.items()
    }


def test_a_nested_model_is_the_same(tmp_path: Path) -> None:
    weights = keras_mobilenet_layers()
    plain = read_keras_h5(write_keras(tmp_path / "plain.h5", weights))
    nested = read_keras_h5(write_keras(tmp_path / "nested.h5", weights, "mobilenet_1.00_224"))
    assert list(nested) == ["mobilenet_1.00_224"]
    assert mobilenet_graph(plain) == mobilenet_graph(nested)


def test_layers_have_the_published_number_of_weights() -> None:
    """3,493,063 in Keras's summary, less 262,400 and 1,799 of the two dense layers."""
    kernels = sum(int(np.prod(layer.shape)) for layer in layers())
    norms = sum(4 * layer.shape[0] for layer in layers())
    assert kernels + norms == 3_493_063 - 262_400 - 1_799


def test_the_twin_can_be_trained() -> None:
    network = MobileNet().train()
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_strided_convolutions_are_padded_at_the_end() -> None:
    strided = Layer("conv1", "kernel", (32, 3, 3, 3), 2)
    assert pads(strided) == (0, 0, 1, 1)
    assert pads(strided._replace(stride=1)) == (1, 1, 1, 1)
    assert pads(Layer("conv_pw_1", "kernel", (64, 32, 1, 1), 1)) == (0, 0, 0, 0)


def missing(weights: dict[str, dict[str, np.ndarray]]) -> None:
    del weights["conv_dw_3_bn"]["gamma"]


def other_shape(weights: dict[str, dict[str, np.ndarray]]) -> None:
    weights["conv_pw_13"]["kernel"] = weights["conv_pw_13"]["kernel"][..., :-1]


def flat(weights: dict[str, dict[str, np.ndarray]]) -> None:
    weights["conv1"]["kernel"] = weights["conv1"]["kernel"].ravel()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (missing, "0 arrays conv_dw_3_bn/gamma:0, expected 1"),
        (other_shape, r"kernel of conv_pw_13 .* \(1023, 1024, 1, 1\), expected \(1024, 1024"),
        (flat, r"kernel of conv1 .* \(864,\), expected"),
    ],
)
def test_other_weights_are_refused(change: object, sentence: str) -> None:
    weights = keras_mobilenet_layers()
    change(weights)  # type: ignore[operator]
    for build in (mobilenet_graph, mobilenet_twin):
        with pytest.raises(WorkError, match=sentence):
            build(as_read(weights))


def test_a_layer_that_is_there_twice_is_refused() -> None:
    weights = as_read(keras_mobilenet_layers())
    weights["again"] = {"conv1/kernel:0": weights["conv1"]["conv1/kernel:0"]}
    with pytest.raises(WorkError, match="2 arrays conv1/kernel:0"):
        mobilenet_graph(weights)
