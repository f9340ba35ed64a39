"""torch networks as ONNX graphs, made once and kept in Mien's cache."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import onnx

from common.backbones.onnx_graph import FEATURES, read_onnx
from common.files import private_folder, write_atomically
from common.paths import cache_folder

if TYPE_CHECKING:
    from torch import nn

_VERSION: Final = 1
"""Raised when the same weights would give another graph."""


def converted(weights: Path, make: Callable[[], nn.Module], *, size: int) -> onnx.ModelProto:
    """The graph of a network, (1, 3, size, size) float32 to its features.

    Args:
        weights: the file that decides what `make` makes; the graph is kept under its SHA-256.
        make: makes the network; called only where the graph is not there yet.
        size: side of its images.

    Raises:
        WorkError: the kept graph is damaged; what `make` raises.
        OSError: the cache cannot be written.
    """
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    kept = cache_folder() / "converted" / f"{digest}-{size}-{_VERSION}.onnx"
    if not kept.is_file():
        model = exported(make(), size=size)
        write_atomically(private_folder(kept.parent) / kept.name, model.SerializeToString())
    return read_onnx(kept)


def exported(network: nn.Module, *, size: int) -> onnx.ModelProto:
    """The graph of a network for one image, by torch's exporter; takes seconds."""
    import torch

    image = torch.zeros(1, 3, size, size)
    with warnings.catch_warnings():
        # The exporter warns of its own parts; what it made is compared with torch in the tests.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            (image,),
            dynamo=True,
            input_names=["images"],
            output_names=[FEATURES],
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch's exporter gave nothing")
    return program.model_proto
