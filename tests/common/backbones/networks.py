"""Networks of the genuine structure with random weights, as files."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

B0, B2 = "tf_efficientnet_b0", "tf_efficientnet_b2"


def randomised(network: nn.Module, seed: int = 5) -> nn.Module:
    """Weights and statistics that keep the signal alive through all layers."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=random)
                module.running_var.uniform_(0.5, 1.5, generator=random)
                module.weight.uniform_(0.8, 1.2, generator=random)
                module.bias.normal_(0, 0.1, generator=random)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=random)
    return network.eval()


def efficientnet(name: str, classes: int = 8) -> nn.Module:
    import timm  # for half a second; most that imports this module never needs it

    return randomised(timm.create_model(name, pretrained=False, num_classes=classes))


def export(network: nn.Module, path: Path, size: int, *, dynamo: bool, dynamic: bool) -> Path:
    """As the published files were made (dynamo false, dynamic true), or otherwise."""
    image = torch.zeros(1, 3, size, size)
    names = {"input_names": ["input"], "output_names": ["output"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
            program = torch.onnx.export(
                network, (image,), dynamo=True, dynamic_shapes=shapes, verbose=False, **names
            )
            program.save(path)
        else:
            axes = {"input": {0: "batch_size"}, "output": {0: "batch_size"}} if dynamic else None
            torch.onnx.export(
                network,
                (image,),
                path,
                opset_version=11,
                dynamic_axes=axes,
                dynamo=False,
                **names,
            )
    return path


def keras_mobilenet_layers(seed: int = 7) -> dict[str, dict[str, np.ndarray]]:
    """Layer to part to values, by hand from Keras's summary of the published file."""
    random = np.random.default_rng(seed)

    def kernel(*shape: int, fan_in: int) -> np.ndarray:
        return random.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)

    def norm(channels: int) -> dict[str, np.ndarray]:
        return {
            "gamma": random.uniform(0.8, 1.2, channels).astype(np.float32),
            "beta": random.normal(0, 0.1, channels).astype(np.float32),
            "moving_mean": random.normal(0, 0.1, channels).astype(np.float32),
            "moving_variance": random.uniform(0.5, 1.5, channels).astype(np.float32),
        }

    layers = {"conv1": {"kernel": kernel(3, 3, 3, 32, fan_in=27)}, "conv1_bn": norm(32)}
    widths = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    for number in range(1, 14):
        before, after = widths[number - 1], widths[number]
        layers[f"conv_dw_{number}"] = {"depthwise_kernel": kernel(3, 3, before, 1, fan_in=9)}
        layers[f"conv_dw_{number}_bn"] = norm(before)
        layers[f"conv_pw_{number}"] = {"kernel": kernel(1, 1, before, after, fan_in=before)}
        layers[f"conv_pw_{number}_bn"] = norm(after)
    for name, before, after in (("feats", 1024, 256), ("emotion_preds", 256, 7)):
        bias = np.zeros(after, np.float32)
        layers[name] = {"kernel": kernel(before, after, fan_in=before), "bias": bias}
    return layers


def write_keras(path: Path, layers: dict[str, dict[str, np.ndarray]], inside: str = "") -> Path:
    """A whole model's file; with `inside`, the layers are those of a nested model."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights")
        for layer, parts in layers.items():
            place = f"{inside}/{layer}" if inside else f"{layer}/{layer}"
            for part, values in parts.items():
                root[f"{place}/{part}:0"] = values
        root.create_group("dropout_1")
    return path
