"""One thread: with more, tests that share the cores with others slow each other down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.common.backbones import networks


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="session")
def b0(folder: Path) -> tuple[Path, Path]:
    """A random EfficientNet-B0: as published in ONNX, and its state dict."""
    network = networks.efficientnet(networks.B0)
    torch.save(network.state_dict(), folder / "b0.pt")
    graph = networks.export(network, folder / "b0.onnx", 224, dynamo=False, dynamic=True)
    return graph, folder / "b0.pt"


@pytest.fixture(scope="session")
def mobilenet(folder: Path) -> Path:
    """A random MobileNet-v1 as Keras keeps it."""
    return networks.write_keras(folder / "mobilenet.h5", networks.keras_mobilenet_layers())
