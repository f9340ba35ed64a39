"""Backbones that give their own expression labels too, in the same forward pass.

What a device answers with before it has a head.  The classifiers know other expressions than Mien:
none of them knows "calm", and contempt has no place among `EXPRESSIONS`.  Calm is given
`CALM_SHARE` of what neutral gets: it is never the answer by itself, and a user's corrections can
still raise it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import onnx

from common.backbones.backbone import Backbone, EngineBackbone
from common.backbones.engines.base import Features, Pending
from common.backbones.engines.choice import AUTO, Network, chosen_engine, open_engine
from common.backbones.mini_xception_graph import mini_xception_graph
from common.backbones.mini_xception_weights import read_weights
from common.backbones.networks import find_weights
from common.backbones.onnx_graph import labelled_graph, read_onnx, with_pixels
from common.backbones.records import MINI_XCEPTION, RECORDS, BackboneRecord, feature_spec
from common.backbones.registry import backbone_record, load
from common.backbones.trained import find_trained, trained_network
from common.errors import WorkError
from common.expressions import EXPRESSIONS, expression_index

if TYPE_CHECKING:
    from torch import nn

CALM_SHARE: Final = 0.25
"""Of neutral's probability: four times less likely, so that rounding never makes it the answer."""
SMALLEST_PROBABILITY: Final = 1e-4
"""Keeps logits within about 9 of each other, near enough for a user's corrections to turn."""

TORCH: Final = "torch"

_NAMES: Final = {
    **{name: name for name in EXPRESSIONS},
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
}
"""A classifier's label to ours; contempt is missing on purpose."""

Logits = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float32]
"""(n, dimension + outputs): features, and behind them the classifier's logits if it has any."""


class LabelledBackbone:
    """A backbone whose rows hold features and, where it has them, its own logits."""

    def __init__(self, rows: Backbone, outputs: int) -> None:
        """`rows` makes `Rows` in place of features; `outputs` is 0 without labels."""
        self.record = rows.record
        self.spec = feature_spec(rows.record)
        self._rows = rows
        self._outputs = outputs

    def submit(self, crops: npt.NDArray[np.uint8]) -> Pending:
        """Start on RGB crops, (n, size, size, 3) uint8; `result()` waits for `Rows`."""
        return self._rows.submit(crops)

    def features(self, rows: Rows) -> Features:
        """(n, dimension) of rows: the same numbers as the backbone's without labels."""
        return np.ascontiguousarray(rows[:, : self.record.dimension])

    def own(self, rows: Rows) -> Logits | None:
        """Logits of `EXPRESSIONS` over some frames, (8,), None where there are no labels.

        The logarithm of the frames' mean probabilities.

        Args:
            rows: at least one.
        """
        if not self._outputs:
            return None
        labels = self.record.labels
        start = self.record.dimension
        return own_logits(labels, rows[:, start : start + len(labels)])

    def close(self) -> None:
        """Stop the engine's threads."""
        self._rows.close()


def own_logits(labels: tuple[str, ...], scores: npt.NDArray[np.float32]) -> Logits:
    """Logits of `EXPRESSIONS`, (8,), from a classifier's logits of some frames.

    Args:
        labels: the classifier's, by the names of a `BackboneRecord`.
        scores: (frames, labels), at least one row.
    """
    odds = np.exp((scores - scores.max(axis=1, keepdims=True)).astype(np.float64))
    means = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
    probabilities = np.zeros(len(EXPRESSIONS))
    for label, mean in zip(labels, means, strict=True):
        if label in _NAMES:
            probabilities[expression_index(_NAMES[label])] = mean
    neutral, calm = expression_index("neutral"), expression_index("calm")
    probabilities[calm] = CALM_SHARE * probabilities[neutral]
    return np.log(probabilities + SMALLEST_PROBABILITY).astype(np.float32)


def load_labelled(id: str, *, engine: str = AUTO, threads: int = 1) -> LabelledBackbone:
    """Load a backbone with its own labels where its weights hold them.

    mini-Xception has them, and EmotiEffNets read from ONNX files.

    Args:
        id: of the backbone.
        engine: see `common.backbones.registry.load`.
        threads: crops inferred at the same time.

    Raises:
        UsageError: an argument is out of range, or what it asks for is not installed.
        WorkError: the weights are missing or not those of the record.
    """
    record = backbone_record(id)
    outputs = len(record.labels) + len(record.more_outputs)
    network = _labelled_network(record, record.dimension + outputs, engine)
    if network is None:
        return LabelledBackbone(load(id, engine=engine, threads=threads), 0)
    running = open_engine(network, engine=engine, threads=threads)
    return LabelledBackbone(EngineBackbone(record, running), outputs)


def _labelled_network(record: BackboneRecord, width: int, engine: str) -> Network | None:
    if record is MINI_XCEPTION:
        return Network(width, partial(_mini_xception_graph, record), partial(_module, record))
    if record.id not in RECORDS and (found := find_trained(record.id)) is not None:
        return trained_network(found, labels=True)
    suffixes = tuple(Path(name).suffix for name in record.files)
    if ".onnx" not in suffixes or chosen_engine(engine) == TORCH:
        return None
    try:
        path = find_weights(record.files, (".onnx",))
    except WorkError:
        return None  # its torch weights, if there are any, are read without labels
    graph = partial(_onnx_graph, record, path)
    return Network(width, graph, partial(_module, record), record.bfloat16)


def _mini_xception_graph(record: BackboneRecord) -> onnx.ModelProto:
    graph = mini_xception_graph(read_weights(record.sha256 or ""), labels=True)
    return with_pixels(graph, mean=record.mean, std=record.std, size=record.input_size)


def _onnx_graph(record: BackboneRecord, path: Path) -> onnx.ModelProto:
    outputs = len(record.labels) + len(record.more_outputs)
    size = record.input_size
    graph = labelled_graph(read_onnx(path), dimension=record.dimension, outputs=outputs, size=size)
    return with_pixels(graph, mean=record.mean, std=record.std, size=size)


def _module(record: BackboneRecord) -> nn.Module:
    if record is not MINI_XCEPTION:
        raise WorkError(f"{record.id} has no torch network with labels")
    from torch.nn import Sequential

    from common.backbones.engines.torch import Pixels
    from common.backbones.mini_xception import LabelledMiniXception, mini_xception_network

    network = mini_xception_network(read_weights(record.sha256 or ""))
    return Sequential(Pixels(record.mean, record.std), LabelledMiniXception(network))
