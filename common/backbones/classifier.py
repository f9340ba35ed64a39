"""A backbone's own classifier as a public projection: features times its weights are its logits.

Whoever has the backbone has these weights, and no clip of a fleet's users went into them. A bias is
left out: it moves every logit by a constant, which heads subtract anyway.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper

from common.backbones.mini_xception_weights import read_weights
from common.backbones.networks import find_weights
from common.backbones.onnx_graph import read_onnx
from common.backbones.records import MINI_XCEPTION, RECORDS, BackboneRecord, feature_spec
from common.errors import UsageError, WorkError
from common.heads.projection import Floats, Projection

_POOLED: Final = ("max", "mean")


def record_of(features: str) -> BackboneRecord | None:
    """The backbone whose features, frame by frame or pooled by the clip, have this id."""
    for record in RECORDS.values():
        spec = feature_spec(record)
        if features in (spec, *(f"{spec}/{pooling}" for pooling in _POOLED)):
            return record
    return None


def logits_projection(features: str) -> Projection:
    """Features of a backbone to its own logits of expressions, without the bias.

    mini-Xception classifies places of its maps before it takes their mean: the kernel's sum over
    places gives its logits but for what happens at the maps' edges.

    Args:
        features: id of the features.

    Raises:
        UsageError: they are of no backbone whose classifier can be had.
        WorkError: its weights are missing or wrong.
    """
    record = record_of(features)
    if record is None or not (record is MINI_XCEPTION or _has_onnx(record)):
        raise UsageError(
            f"projection is 'logits', and the features {features!r} are of no backbone with a "
            "linear classifier of expressions; use random:8, or pca:8 or lda:7 with public users"
        )
    if record is MINI_XCEPTION:
        kernel = read_weights(record.sha256 or "")["classifier.weight"]
        matrix = kernel.sum(axis=(2, 3)).T
    else:
        model = read_onnx(find_weights(record.files, (".onnx",)))
        matrix = linear_weight(model, record)[:, : len(record.labels)]
    centre = np.zeros(record.dimension, dtype=np.float32)
    return Projection(features, centre, np.ascontiguousarray(matrix, dtype=np.float32))


def _has_onnx(record: BackboneRecord) -> bool:
    return bool(record.labels) and any(name.endswith(".onnx") for name in record.files)


def linear_weight(model: onnx.ModelProto, record: BackboneRecord) -> Floats:
    """Weights of the last linear layer, (dimension, outputs).

    Raises:
        WorkError: the graph has no such layer.
    """
    outputs = len(record.labels) + len(record.more_outputs)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in reversed(model.graph.node):
        if node.op_type not in ("Gemm", "MatMul") or node.input[1] not in stored:
            continue
        weight = numpy_helper.to_array(stored[node.input[1]]).astype(np.float32)
        turned = any(each.name == "transB" and each.i for each in node.attribute)
        weight = weight.T if turned else weight
        if weight.shape == (record.dimension, outputs):
            return weight
    raise WorkError(
        f"the ONNX graph of {record.id} has no linear layer from {record.dimension} features to "
        f"{outputs} outputs"
    )
