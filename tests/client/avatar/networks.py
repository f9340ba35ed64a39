"""A small image-to-image network with weights S and C, exported as ONNX and as TorchScript."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

SIZE = 32
STRUCTURES, COLOURS = 7, 11
STYLE = np.array([[0.5, -0.5, 0.0]], np.float32)


class Toy(nn.Module):
    """S blurs, C mixes in the style's colour: enough to tell the inputs apart by eye."""

    def forward(self, image: Tensor, style: Tensor, weights: Tensor) -> Tensor:
        structure, colour = weights[:STRUCTURES].mean(), weights[STRUCTURES:].mean()
        smooth = nn.functional.avg_pool2d(image, 3, stride=1, padding=1)
        shaped = (1 - structure) * image + structure * smooth
        return (1 - colour) * shaped + colour * style.reshape(1, 3, 1, 1)


def toy_result(image: np.ndarray, structure: float, colour: float) -> np.ndarray:
    """What `Toy` gives for (1, 3, n, n), in plain loops."""
    height, width = image.shape[2:]
    padded = np.pad(image[0], ((0, 0), (1, 1), (1, 1)))
    found = np.zeros_like(image[0])
    for y in range(height):
        for x in range(width):
            smooth = padded[:, y : y + 3, x : x + 3].sum(axis=(1, 2)) / 9
            shaped = (1 - structure) * image[0, :, y, x] + structure * smooth
            found[:, y, x] = (1 - colour) * shaped + colour * STYLE[0]
    return found[None]


class Plain(nn.Module):
    """Without weights, as AnimeGAN: turns levels round."""

    def forward(self, image: Tensor) -> Tensor:
        return -image


EXAMPLE = torch.zeros(1, 3, SIZE, SIZE)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def toy_onnx(folder: Path, **changes: Any) -> Path:
    """`Toy` as ONNX with its description and style."""
    path = folder / "toy.onnx"
    example = (EXAMPLE, torch.zeros(1, 3), torch.zeros(STRUCTURES + COLOURS))
    names = ["image", "exstyle", "weights"]
    export(Toy(), example, path, names, "avatar")
    return described(path, **changes)


def export(
    module: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: list[str], output: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter is quicker for so small a network
        torch.onnx.export(
            module, example, str(path), input_names=inputs, output_names=[output], dynamo=False
        )


def toy_torchscript(folder: Path, **changes: Any) -> Path:
    """`Toy` as TorchScript with its description and style."""
    path = folder / "script.pt"
    example = (EXAMPLE, torch.zeros(1, 3), torch.zeros(STRUCTURES + COLOURS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Toy(), example).save(str(path))  # type: ignore[no-untyped-call]
    return described(path, **changes)


def plain_onnx(folder: Path, **changes: Any) -> Path:
    """`Plain` as ONNX with its description."""
    path = folder / "plain.onnx"
    export(Plain(), (EXAMPLE,), path, ["image"], "avatar")
    inputs = [{"name": "image", "gives": "image"}]
    return described(path, inputs=inputs, structure=None, colour=None, **changes)


def described(path: Path, **changes: Any) -> Path:
    """Write the description beside a network; a change to None leaves a key out."""
    style = path.parent / "style.safetensors"
    save_file({"exstyle": STYLE}, str(style))
    about: dict[str, Any] = {
        "format": "mien-avatar-generator/1",
        "name": "Toy",
        "sha256": digest(path),
        "size": SIZE,
        "range": [-1, 1],
        "inputs": [
            {"name": "image", "gives": "image"},
            {
                "name": "exstyle",
                "gives": "style",
                "file": style.name,
                "tensor": "exstyle",
                "sha256": digest(style),
            },
            {"name": "weights", "gives": "weights", "structure": STRUCTURES, "colour": COLOURS},
        ],
        "output": {"name": "avatar", "range": [-1, 1]},
        "structure": 0.225,
        "colour": 0.1,
        **changes,
    }
    kept = {name: value for name, value in about.items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(kept), encoding="utf-8")
    return path
