"""A backbone's own labels, from the same forward pass as its features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.backbones.engines.openvino import openvino_engine
from common.backbones.labelled import (
    CALM_SHARE,
    SMALLEST_PROBABILITY,
    LabelledBackbone,
    load_labelled,
    own_logits,
)
from common.backbones.mini_xception import MiniXception
from common.backbones.onnx_graph import GraphWriter, labelled_graph, with_pixels
from common.backbones.records import EMOTIEFFNETS, MINI_XCEPTION, RECORDS
from common.backbones.registry import load
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS, expression_index

LABELS = MINI_XCEPTION.labels
NEUTRAL, CALM = expression_index("neutral"), expression_index("calm")


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def labelled() -> LabelledBackbone:
    return load_labelled("mini-xception")


def probabilities(logits: np.ndarray | None) -> np.ndarray:
    assert logits is not None
    return np.asarray(np.exp(logits) / np.exp(logits).sum())


def test_features_are_the_backbones_to_the_last_bit(
    labelled: LabelledBackbone, crops: np.ndarray
) -> None:
    rows = labelled.submit(crops).result()
    assert labelled.features(rows).tobytes() == load("mini-xception").features(crops).tobytes()


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_own_labels_are_the_classifiers(engine: str, crops: np.ndarray) -> None:
    backbone = load_labelled("mini-xception", engine=engine)
    rows = backbone.submit(crops).result()
    expected = MiniXception(MINI_XCEPTION).probabilities(crops).astype(np.float64)
    by_frame = [probabilities(backbone.own(rows[i : i + 1])) for i in range(len(crops))]
    places = [expression_index(name) for name in ("angry", "disgust", "fearful", "happy")]
    for ours, theirs in zip(by_frame, expected, strict=True):
        # Calm takes its share on top of theirs.
        whole = 1 + CALM_SHARE * theirs[LABELS.index("neutral")]
        np.testing.assert_allclose(ours[places], theirs[:4] / whole, atol=2e-3)


def scores() -> st.SearchStrategy[np.ndarray]:
    shape = st.tuples(st.integers(1, 9), st.just(len(LABELS)))
    return hnp.arrays(np.float32, shape, elements=st.floats(-60, 60, width=32))


@given(scores=scores())
@settings(max_examples=60, deadline=None)
def test_calm_is_never_the_answer_and_logits_stay_near(scores: np.ndarray) -> None:
    found = own_logits(LABELS, scores)
    assert found.shape == (len(EXPRESSIONS),)
    assert np.isfinite(found).all()
    assert found[CALM] <= found[NEUTRAL]
    assert found.argmax() != CALM
    assert found.max() - found.min() <= -np.log(SMALLEST_PROBABILITY) + 1e-3
    assert found.max() >= np.log(1 / len(LABELS)) - 1e-5


@given(scores=scores(), random=st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_order_of_frames_does_not_matter(scores: np.ndarray, random: object) -> None:
    turned = np.ascontiguousarray(scores[::-1])
    np.testing.assert_allclose(own_logits(LABELS, scores), own_logits(LABELS, turned), atol=1e-4)


@pytest.mark.parametrize("record", [r for r in RECORDS.values() if r.labels])
def test_all_classifiers_labels_have_a_place_but_contempt(record: object) -> None:
    labels = record.labels  # type: ignore[attr-defined]
    for index, label in enumerate(labels):
        sure = np.full((1, len(labels)), -30.0, np.float32)
        sure[0, index] = 30
        answer = EXPRESSIONS[int(own_logits(labels, sure).argmax())]
        assert answer[:3] == label[:3] or label == "contempt"


def tiny_classifier(layer: str) -> onnx.ModelProto:
    """Means of three channels as features, and twice these plus 1 as scores."""
    writer = GraphWriter()
    pooled = writer.node("Flatten", writer.node("GlobalAveragePool", "images"), axis=1)
    weight = writer.constant(2 * np.eye(3, dtype=np.float32))
    bias = writer.constant(np.ones(3, np.float32))
    if layer == "Gemm":
        scores = writer.node("Gemm", pooled, weight, bias)
    else:
        scores = writer.node("Add", writer.node("MatMul", pooled, weight), bias)
    last = writer.node("Softmax", scores, axis=1) if layer == "softmax" else scores
    return writer.finish(last, channels=3, size=4, dimension=3)


@pytest.mark.parametrize("layer", ["Gemm", "MatMul", "softmax"])
def test_a_classifiers_logits_stand_behind_its_features(layer: str) -> None:
    graph = labelled_graph(tiny_classifier(layer), dimension=3, outputs=3, size=4)
    whole = with_pixels(graph, mean=(0, 0, 0), std=(1, 1, 1), size=4)
    engine = openvino_engine(whole, dimension=6, precision="float32", threads=1)
    crop = np.full((1, 4, 4, 3), (1, 2, 3), np.uint8)
    np.testing.assert_allclose(engine.run(crop), [[1, 2, 3, 3, 5, 7]], rtol=1e-6)


def test_without_labels_there_are_none(crops: np.ndarray) -> None:
    bare = LabelledBackbone(load("mini-xception"), 0)
    rows = bare.submit(crops).result()
    assert bare.own(rows) is None
    assert bare.features(rows).shape == (4, 128)


def test_missing_weights_and_names_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path))
    with pytest.raises(WorkError, match="mien weights"):
        load_labelled(EMOTIEFFNETS[0].id)
    with pytest.raises(UsageError, match="no backbone"):
        load_labelled("none")
