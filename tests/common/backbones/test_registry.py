"""The registry: records, specifications, and where weights are looked for."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from common.backbones.networks import find_weights
from common.backbones.onnx_graph import feature_graph, read_onnx
from common.backbones.records import BackboneRecord
from common.backbones.registry import (
    DEFAULT_BACKBONE,
    backbone_ids,
    backbone_record,
    feature_spec,
    load,
    made_with,
    twin,
)
from common.errors import UsageError, WorkError
from common.weights.catalogue import WEIGHTS
from common.weights.store import WeightsStore
from tests.common.backbones.contract import random_crops

NEEDED = {"enet-b0-8-best-vgaf", "enet-b0-8-best-afew", "enet-b0-8-va-mtl", "enet-b2-8"}
NEEDED |= {"enet-b2-7", "mobile-emotiface", "mini-xception", "blendshapes"}


@pytest.fixture(params=backbone_ids())
def record(request: pytest.FixtureRequest) -> BackboneRecord:
    return backbone_record(request.param)


def test_all_backbones_are_there() -> None:
    assert set(backbone_ids()) == NEEDED
    assert DEFAULT_BACKBONE in backbone_ids()


def test_record_is_complete_and_frozen(record: BackboneRecord) -> None:
    assert record.colour in ("grey", "rgb")
    assert len(set(record.labels)) == len(record.labels)
    assert len(record.labels) >= 7 or record.id == "blendshapes"
    assert record.files or record.sha256
    known = {WEIGHTS[name].sha256 for name in record.files}
    assert not record.files or record.sha256 is None or known == {record.sha256}
    assert all(WEIGHTS[name].licence == record.licence for name in record.files)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.version = 2  # type: ignore[misc]


def test_labels_are_in_the_order_of_the_networks() -> None:
    eight = ["anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
    assert list(backbone_record("enet-b0-8-best-vgaf").labels) == eight
    assert list(backbone_record("enet-b2-7").labels) == [eight[0], *eight[2:]]
    assert backbone_record("enet-b0-8-va-mtl").more_outputs == ("valence", "arousal")


def test_normalisation_must_fit_the_channels() -> None:
    with pytest.raises(ValueError, match="do not fit grey"):
        dataclasses.replace(backbone_record("enet-b2-8"), colour="grey")


def test_unknown_backbone_is_named_with_the_choices() -> None:
    for ask in (load, backbone_record, twin):
        with pytest.raises(UsageError, match=r"'resnet'.*mini-xception"):
            ask("resnet")
    with pytest.raises(UsageError, match="blendshapes has no torch network"):
        twin("blendshapes")


def test_spec_changes_with_the_version() -> None:
    record = backbone_record(DEFAULT_BACKBONE)
    assert feature_spec(record) != feature_spec(dataclasses.replace(record, version=2))


@pytest.mark.parametrize("id", ["enet-b0-8-va-mtl", "mobile-emotiface", "blendshapes"])
def test_missing_weights_are_named(
    id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    name = r"(enet_b0_8_va_mtl|mobilenet_7|face_landmarker_v2_with_blendshapes)"
    for engine in ("openvino", "torch")[: 1 if id == "blendshapes" else 2]:
        with pytest.raises(WorkError, match=rf"{name}\.\w+ are not in"):
            load(id, engine=engine)


def test_weights_are_found_in_the_folder_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path))
    (tmp_path / "face_landmarker_v2_with_blendshapes.task").write_bytes(b"another")
    (tmp_path / "enet_b0_8_best_vgaf.hsemotion.onnx").write_bytes(b"another")
    for id in ("blendshapes", "enet-b0-8-best-vgaf"):
        with pytest.raises(WorkError, match=rf"{tmp_path}/\S+ is not \S+: found SHA-256"):
            load(id, engine="openvino")


def test_the_key_of_a_cache_has_engine_precision_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("common.backbones.engines.choice._cpu_has_bfloat16", lambda: True)
    id = "enet-b0-8-best-vgaf"
    graph, hsemotion = WEIGHTS["enet_b0_8_best_vgaf.onnx"], backbone_record(id).files[2]
    expected = {"engine": "openvino", "precision": "bfloat16", "weights": graph.expected}
    assert made_with(id) == expected
    assert made_with(id, precision="float32") == expected | {"precision": "float32"}
    onnxruntime = {"engine": "onnxruntime", "precision": "float32"}
    assert made_with(id, engine="onnxruntime") == expected | onnxruntime
    (tmp_path / hsemotion).touch()
    assert made_with(id) == expected | {"weights": WEIGHTS[hsemotion].expected}
    torch = made_with(id, engine="torch")
    assert torch["weights"] == WEIGHTS["enet_b0_8_best_vgaf.pt"].expected
    own = made_with("mini-xception")
    assert own["precision"] == "float32"
    assert own["weights"] == f"SHA-256 {backbone_record('mini-xception').sha256}"
    with pytest.raises(UsageError, match="engine is 'none'"):
        made_with(id, engine="none")


def test_a_weights_file_that_is_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "enet_b2_8.pt").write_bytes(b"another")
    with pytest.raises(WorkError, match=r"is not enet_b2_8\.pt"):
        find_weights(("enet_b2_8.onnx", "enet_b2_8.pt"), (".onnx", ".pt"), WeightsStore(tmp_path))


def test_own_weights_have_a_spec_of_their_own(b0: tuple[Path, Path]) -> None:
    backbone = load("enet-b0-8-best-vgaf", weights=b0[0])
    assert backbone.record.id.startswith("enet-b0-8-best-vgaf+")
    assert feature_spec(backbone.record) != feature_spec(backbone_record("enet-b0-8-best-vgaf"))


def test_weights_of_another_network_are_refused(b0: tuple[Path, Path]) -> None:
    graph, state = b0
    with pytest.raises(WorkError, match=r"expected one input \(1, 3, 260, 260\)|expected 1408"):
        load("enet-b2-8", weights=graph)
    with pytest.raises(WorkError, match="are not those of tf_efficientnet_b2"):
        load("enet-b2-8", engine="torch", weights=state)
    with pytest.raises(WorkError, match=r"missing\.onnx: cannot be read|not a readable"):
        load("enet-b2-8", weights=graph.with_name("missing.onnx"))


def test_torch_weights_alone_are_converted_once(
    b0: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def exported(network: nn.Module, *, size: int) -> onnx.ModelProto:
        asked.append((type(network).__name__, size))
        return feature_graph(read_onnx(b0[0]), dimension=1280, size=size)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("common.backbones.convert.exported", exported)
    crops = random_crops(224, 1)
    first = load("enet-b0-8-best-vgaf", weights=b0[1]).features(crops)
    assert load("enet-b0-8-best-vgaf", weights=b0[1]).features(crops).tobytes() == first.tobytes()
    assert asked == [("EfficientNet", 224)]
    (kept,) = (tmp_path / "mien" / "converted").iterdir()
    kept.write_bytes(b"damaged")
    with pytest.raises(WorkError, match="is not a readable ONNX graph"):
        load("enet-b0-8-best-vgaf", weights=b0[1])


@pytest.mark.slow
def test_conversion_changes_nothing(
    b0: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    crops = random_crops(224, 2)
    found = [
        load("enet-b0-8-best-vgaf", precision="float32", weights=path).features(crops)
        for path in b0
    ]
    assert np.abs(found[0] - found[1]).max() < 1e-3


def test_the_twin_has_the_weights_and_can_be_trained(b0: tuple[Path, Path]) -> None:
    network = twin("enet-b0-8-best-vgaf", b0[1]).train()
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_neither_records_nor_the_default_backbone_need_torch() -> None:
    code = (
        "import sys, common.backbones.registry as r, common.video.decode, common.video.extract, "
        "simulations.data.features; r.load('mini-xception'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
