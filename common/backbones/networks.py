"""The backbones that are plain networks: from their weights to what an engine runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from common.backbones.convert import converted
from common.backbones.engines.choice import Network
from common.backbones.mini_xception_graph import mini_xception_graph
from common.backbones.mini_xception_weights import read_weights
from common.backbones.mobilenet import mobilenet_graph
from common.backbones.onnx_graph import feature_graph, read_onnx, with_pixels
from common.backbones.records import BackboneRecord
from common.weights.keras import read_keras_h5
from common.weights.store import WeightsStore, chosen_weights, default_store

if TYPE_CHECKING:
    from torch import nn


def network(record: BackboneRecord, weights: Path | None = None) -> Network:
    """The network of a record; its weights are read when an engine asks for them.

    Args:
        record: of an EmotiEffNet, MobileEmotiFace or mini-Xception.
        weights: a file to use in place of the recorded one.
    """
    return Network(
        record.dimension,
        partial(_graph, record, weights),
        partial(_module, record, weights),
        record.bfloat16,
    )


def twin(record: BackboneRecord, weights: Path | None = None) -> nn.Module:
    """The network in torch: normalised images to features; trainable.

    Raises:
        WorkError: the weights are missing or wrong.
    """
    if not record.files:
        from common.backbones.mini_xception import mini_xception_network

        return mini_xception_network(read_weights(record.sha256 or "", weights))
    if record.files[0].endswith(".h5"):
        from common.backbones.twins import mobilenet_twin

        return mobilenet_twin(read_keras_h5(weights or find_weights(record.files, (".h5",))))
    return _efficientnet(weights or find_weights(record.files, (".pt",)), record.dimension)


def find_weights(
    files: tuple[str, ...], suffixes: tuple[str, ...], store: WeightsStore | None = None
) -> Path:
    """The first of a record's files with one of the suffixes that is in the store.

    Raises:
        WorkError: none is there, or the one that is there is not the recorded one.
    """
    place = store or default_store()
    return place.find(chosen_weights(files, suffixes, place))


def _graph(record: BackboneRecord, weights: Path | None) -> onnx.ModelProto:
    return with_pixels(
        _image_graph(record, weights), mean=record.mean, std=record.std, size=record.input_size
    )


def _image_graph(record: BackboneRecord, weights: Path | None) -> onnx.ModelProto:
    if not record.files:
        return mini_xception_graph(read_weights(record.sha256 or "", weights))
    if record.files[0].endswith(".h5"):
        return mobilenet_graph(read_keras_h5(weights or find_weights(record.files, (".h5",))))
    path = weights or find_weights(record.files, (".onnx", ".pt"))
    size = record.input_size
    if path.suffix == ".onnx":
        return feature_graph(read_onnx(path), dimension=record.dimension, size=size)
    # Only the torch weights are there.
    return converted(path, partial(_efficientnet, path, record.dimension), size=size)


def _module(record: BackboneRecord, weights: Path | None) -> nn.Module:
    from torch.nn import Sequential

    from common.backbones.engines.torch import Pixels

    return Sequential(Pixels(record.mean, record.std), twin(record, weights))


def _efficientnet(path: Path, dimension: int) -> nn.Module:
    from common.backbones.twins import efficientnet_twin
    from common.weights.tensors import read_state_dict

    return efficientnet_twin(read_state_dict(path), dimension=dimension)
