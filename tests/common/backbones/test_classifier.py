"""A backbone's own classifier as a projection: the weights of its last linear layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.backbones.classifier import linear_weight, logits_projection, record_of
from common.backbones.mini_xception_weights import read_weights
from common.backbones.records import EMOTIEFFNETS, MINI_XCEPTION, feature_spec
from common.errors import UsageError, WorkError

RECORD = replace(
    EMOTIEFFNETS[0], dimension=3, labels=("happiness", "sadness"), more_outputs=("valence",)
)
WEIGHT = np.arange(9, dtype=np.float32).reshape(3, 3) ** 2


def graph(operator: str, weight: np.ndarray, **attributes: int) -> onnx.ModelProto:
    node = helper.make_node(operator, ["in", "w"], ["scores"], **attributes)
    after = helper.make_node("Softmax", ["scores"], ["out"])
    image = helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 3])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3])
    made = helper.make_graph(
        [node, after], "made", [image], [out], [numpy_helper.from_array(weight, "w")]
    )
    return helper.make_model(made)


@pytest.mark.parametrize(
    "model", [graph("MatMul", WEIGHT), graph("Gemm", WEIGHT), graph("Gemm", WEIGHT.T, transB=1)]
)
def test_the_weights_are_found_however_they_lie(model: onnx.ModelProto) -> None:
    np.testing.assert_array_equal(linear_weight(model, RECORD), WEIGHT)


def test_another_graph_is_refused() -> None:
    with pytest.raises(WorkError, match="no linear layer from 3 features to 3 outputs"):
        linear_weight(graph("MatMul", np.zeros((3, 4), np.float32)), RECORD)


@pytest.mark.parametrize("pooling", ["", "/max", "/mean"])
def test_features_name_their_backbone(pooling: str) -> None:
    assert record_of(feature_spec(MINI_XCEPTION) + pooling) is MINI_XCEPTION
    assert record_of("table/0123" + pooling) is None


def test_mini_xceptions_logits_where_its_maps_have_no_edges() -> None:
    """All places of the last maps alike: each is classified by the kernel's sum."""
    kernel = read_weights(MINI_XCEPTION.sha256 or "")["classifier.weight"]
    place = np.linspace(-1, 1, MINI_XCEPTION.dimension, dtype=np.float32)
    made = logits_projection(feature_spec(MINI_XCEPTION))
    expected = np.einsum("ocij,c->o", kernel, place)
    np.testing.assert_allclose(made.apply(place[None])[0], expected, rtol=1e-4)


def test_features_without_a_classifier_are_refused() -> None:
    with pytest.raises(UsageError, match="of no backbone with a linear classifier"):
        logits_projection("blendshapes/1")
