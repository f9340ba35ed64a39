"""Identity networks that see the stretched box of a face: FaceNet and the light EfficientNet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from common.backbones.convert import converted
from common.backbones.engines.base import Engine
from common.backbones.engines.choice import Network
from common.backbones.networks import find_weights
from common.backbones.onnx_graph import with_pixels
from common.errors import WorkError
from common.identity.network import Embeddings, FramedFace, cut_box, identity_spec, unit_length
from common.identity.records import FACENET, IdentityRecord

if TYPE_CHECKING:
    from torch import nn


class BoxedIdentity:
    """`IdentityNetwork` by an engine."""

    def __init__(self, record: IdentityRecord, engine: Engine) -> None:
        """`engine` maps crops (n, size, size, 3) uint8 to embeddings of any length."""
        self._record = record
        self._engine = engine

    @property
    def record(self) -> IdentityRecord:
        """What it is."""
        return self._record

    @property
    def provenance(self) -> str:
        """Id, version, engine, its version, precision and device."""
        return f"{identity_spec(self._record)} {self._engine.provenance}"

    def embed(self, faces: Sequence[FramedFace]) -> Embeddings:
        """One embedding of unit length per face."""
        size = self._record.input_size
        crops = [cut_box(frame, face, size) for frame, face in faces]
        found = self._engine.run(np.array(crops, np.uint8).reshape(-1, size, size, 3))
        return unit_length(found.astype(np.float64)).astype(np.float32)

    def close(self) -> None:
        """Stop the engine's threads."""
        self._engine.close()


def boxed_network(record: IdentityRecord, weights: Path | None = None) -> Network:
    """The network of a record; its weights are read when an engine asks for them.

    Args:
        record: of FaceNet or the light EfficientNet.
        weights: a file to use in place of the recorded one.
    """
    return Network(
        record.dimension, partial(_graph, record, weights), partial(_module, record, weights)
    )


def identity_twin(record: IdentityRecord, weights: Path | None = None) -> nn.Module:
    """The network in torch: normalised images, (n, 3, size, size), to embeddings.

    Raises:
        WorkError: the weights are missing or wrong.
    """
    from common.weights.tensors import read_state_dict

    state = read_state_dict(weights or find_weights(record.files, (".pt",)))
    if record.id != FACENET.id:
        from common.backbones.twins import efficientnet_twin

        return efficientnet_twin(state, dimension=record.dimension)
    from facenet_pytorch import InceptionResnetV1

    network: nn.Module = InceptionResnetV1(pretrained=None)
    expected = network.state_dict()
    kept = {name: value for name, value in state.items() if not name.startswith("logits.")}
    if kept.keys() != expected.keys():
        odd = sorted(kept.keys() ^ expected.keys())[0]
        raise WorkError(f"the weights are not those of InceptionResnetV1: {odd!r} does not fit")
    try:
        network.load_state_dict(kept)
    except RuntimeError as error:
        raise WorkError(f"the weights are not those of InceptionResnetV1: {error}") from error
    return network


def _graph(record: IdentityRecord, weights: Path | None) -> onnx.ModelProto:
    path = weights or find_weights(record.files, (".pt",))
    size = record.input_size
    graph = converted(path, partial(identity_twin, record, path), size=size)
    return with_pixels(graph, mean=record.mean, std=record.std, size=size)


def _module(record: IdentityRecord, weights: Path | None) -> nn.Module:
    from torch.nn import Sequential

    from common.backbones.engines.torch import Pixels

    return Sequential(Pixels(record.mean, record.std), identity_twin(record, weights))
