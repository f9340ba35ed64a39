"""Backbones that were trained here: a hand-made graph as `mien train-backbone` leaves one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.backbones.engines.choice import open_engine
from common.backbones.records import BackboneRecord
from common.backbones.registry import (
    Backbone,
    backbone_ids,
    backbone_record,
    feature_spec,
    load,
    made_with,
    twin,
)
from common.backbones.trained import (
    described,
    find_trained,
    install,
    read_trained,
    trained_folder,
    trained_network,
    write_trained,
)
from common.errors import UsageError, WorkError
from tests.common.backbones.contract import BackboneContract, random_crops

SIZE, DIMENSION, LABELS = 8, 6, ("anger", "happiness", "neutral")
MEAN, STD = (120.0, 110.0, 100.0), (50.0, 60.0, 70.0)
ID = "mine"


def matrices(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    inputs = 3 * SIZE * SIZE
    return (
        random.normal(0, 0.1, (inputs, DIMENSION)).astype(np.float32),
        random.normal(size=(DIMENSION, len(LABELS))).astype(np.float32),
    )


def graph(seed: int = 0, outputs: tuple[str, str] = ("features", "logits")) -> bytes:
    first, last = matrices(seed)
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "first"], [outputs[0]]),
        helper.make_node("MatMul", [outputs[0], "last"], [outputs[1]]),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])
    found = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width])
        for name, width in zip(outputs, (DIMENSION, len(LABELS)), strict=True)
    ]
    kept = [numpy_helper.from_array(first, "first"), numpy_helper.from_array(last, "last")]
    made = helper.make_graph(nodes, "trained", [image], found, kept)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def record() -> BackboneRecord:
    return BackboneRecord(
        id="backbone",
        architecture="by hand",
        input_size=SIZE,
        colour="rgb",
        mean=MEAN,
        std=STD,
        dimension=DIMENSION,
        labels=LABELS,
        licence="Apache-2.0",
        source="synthetic",
        version=1,
    )


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record's file of a training; the weights folder is empty."""
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path / "weights"))
    told = described(record(), {"synthetic": True})
    write_trained(tmp_path / "out/backbone.json", graph(), told)
    return tmp_path / "out/backbone.json"


@pytest.fixture
def installed(made: Path) -> Path:
    install(made, ID)
    return made


def crops(count: int = 3) -> np.ndarray:
    return random_crops(SIZE, count)


def expected(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, last = matrices()
    flat = (
        ((images - np.array(MEAN)) / np.array(STD)).transpose(0, 3, 1, 2).reshape(len(images), -1)
    )
    return flat @ first, flat @ first @ last


class TestContract(BackboneContract):
    @pytest.fixture(params=["openvino", "onnxruntime"])
    def backbone(self, installed: Path, request: pytest.FixtureRequest) -> Backbone:
        return load(ID, engine=request.param)


def test_features_by_name(installed: Path) -> None:
    with_name = load(ID)
    np.testing.assert_allclose(with_name.features(crops()), expected(crops())[0], atol=1e-4)
    assert with_name.record.labels == LABELS


def test_logits_come_behind_the_features(installed: Path) -> None:
    found = find_trained(ID)
    assert found is not None
    with_labels = open_engine(trained_network(found, labels=True))
    rows = with_labels.run(crops())
    np.testing.assert_allclose(rows, np.concatenate(expected(crops()), axis=1), atol=1e-4)


def test_the_registry_knows_it(installed: Path) -> None:
    digits = backbone_record(ID).sha256 or ""
    assert ID in backbone_ids()
    assert backbone_record(ID).id == f"{ID}+{digits[:12]}"
    assert backbone_record(f"{ID}+{digits[:12]}") == backbone_record(ID)
    assert made_with(ID)["weights"] == f"SHA-256 {digits}"


def test_another_training_of_the_same_id_has_another_specification(
    installed: Path, tmp_path: Path
) -> None:
    before = backbone_record(ID)
    write_trained(installed, graph(seed=1), described(record(), {}))
    install(installed, ID)
    assert feature_spec(backbone_record(ID)) != feature_spec(before)
    with pytest.raises(UsageError, match=f"{ID}.* is gone: mine is another training now"):
        load(before.id)


def test_nothing_is_there_before_it_is_installed(made: Path) -> None:
    assert ID not in backbone_ids()
    with pytest.raises(UsageError, match="there is no backbone 'mine'"):
        load(ID)


@pytest.mark.parametrize("id", ["mini-xception", "../up", "", "Big", "a+b"])
def test_ids_that_will_not_do(made: Path, id: str) -> None:
    with pytest.raises(UsageError, match=r"won't do|that Mien brings"):
        install(made, id)


def test_a_graph_that_is_not_the_recorded_one_is_refused(installed: Path) -> None:
    (trained_folder() / f"{ID}.onnx").write_bytes(graph(seed=1))
    with pytest.raises(WorkError, match=r"mine.onnx: has SHA-256"):
        load(ID)
    installed.with_suffix(".onnx").write_bytes(graph(seed=1))
    with pytest.raises(WorkError, match=r"backbone.onnx: has SHA-256"):
        install(installed, ID)


def test_a_graph_with_other_outputs_is_refused(made: Path) -> None:
    write_trained(made, graph(outputs=("a", "b")), described(record(), {}))
    install(made, ID)
    with pytest.raises(WorkError, match=r"has the outputs \('a', 'b'\)"):
        load(ID)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other/1"},
        {"sha256": "12"},
        {"mean": [1.0]},
        {"dimension": 0},
        {"input_size": "8"},
        {"labels": 3},
    ],
)
def test_a_damaged_record_is_named(made: Path, change: dict[str, object]) -> None:
    told = json.loads(made.read_text())
    made.write_text(json.dumps({**told, **change}))
    with pytest.raises(WorkError, match=r"backbone.json: is no record of a trained backbone"):
        read_trained(made)


def test_it_has_no_torch_network(installed: Path) -> None:
    for ask in (lambda: twin(ID), lambda: load(ID, engine="torch")):
        with pytest.raises(UsageError, match="torch"):
            ask()


def test_it_takes_no_other_weights(installed: Path) -> None:
    with pytest.raises(UsageError, match="takes no other weights"):
        load(ID, weights=installed)


def test_the_record_keeps_what_the_training_told(installed: Path) -> None:
    told = json.loads((trained_folder() / f"{ID}.json").read_text())
    assert told["about"] == {"synthetic": True}
    onnx.checker.check_model(onnx.load(trained_folder() / f"{ID}.onnx"))
