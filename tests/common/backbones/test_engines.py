"""The same network by every engine: the contract, and the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from common.backbones.engines import choice
from common.backbones.engines.choice import ENGINES, chosen_engine, chosen_precision
from common.backbones.engines.openvino import has_bfloat16
from common.backbones.registry import (
    Backbone,
    backbone_ids,
    backbone_record,
    feature_spec,
    load,
    twin,
)
from common.errors import UsageError, WorkError
from tests.common.backbones import networks
from tests.common.backbones.contract import BackboneContract, Crops, random_crops
from tests.support import shared_data


def least_cosine(left: np.ndarray, right: np.ndarray) -> float:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(axis=1) / lengths).min())


def by_torch(id: str, weights: Path | None, crops: Crops) -> np.ndarray:
    """The oracle, with the normalisation in float64."""
    record = backbone_record(id)
    levels = (crops.astype(np.float64) - record.mean) / record.std
    images = torch.from_numpy(levels.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        return twin(id, weights).eval()(images).numpy()


class TestMiniXception(BackboneContract):
    @pytest.fixture(scope="class", params=ENGINES)
    @classmethod
    def backbone(cls, request: pytest.FixtureRequest) -> Iterator[Backbone]:
        loaded = load("mini-xception", engine=request.param, threads=2)
        yield loaded
        loaded.close()


class TestEmotiEffNet(BackboneContract):
    @pytest.fixture(scope="class", params=ENGINES)
    @classmethod
    def backbone(cls, request: pytest.FixtureRequest, b0: tuple[Path, Path]) -> Iterator[Backbone]:
        graph, state = b0
        weights = state if request.param == "torch" else graph
        loaded = load("enet-b0-8-va-mtl", engine=request.param, weights=weights)
        yield loaded
        loaded.close()


class TestMobileEmotiFace(BackboneContract):
    @pytest.fixture(scope="class", params=ENGINES)
    @classmethod
    def backbone(cls, request: pytest.FixtureRequest, mobilenet: Path) -> Iterator[Backbone]:
        loaded = load("mobile-emotiface", engine=request.param, weights=mobilenet)
        yield loaded
        loaded.close()


class TestBlendshapes(BackboneContract):
    tells_noise_apart = False

    @pytest.fixture(scope="class")
    @classmethod
    def backbone(cls) -> Iterator[Backbone]:
        data = shared_data()
        name = "face_landmarker_v2_with_blendshapes.task"
        if data is None or not (data / "models" / name).is_file():
            pytest.skip(f"needs the model ../shared/data/models/{name}")
        loaded = load("blendshapes", weights=data / "models" / name)
        yield loaded
        loaded.close()


@pytest.mark.parametrize("engine", ENGINES[:2])
def test_b0_is_the_same_by_torch(b0: tuple[Path, Path], engine: str) -> None:
    graph, state = b0
    crops = random_crops(224, 4)
    with load("enet-b0-8-best-vgaf", engine=engine, precision="float32", weights=graph) as backbone:
        found = backbone.features(crops)
    assert least_cosine(found, by_torch("enet-b0-8-best-vgaf", state, crops)) > 0.99999


@pytest.mark.parametrize("engine", ENGINES[:2])
def test_mobilenet_is_the_same_by_torch(mobilenet: Path, engine: str) -> None:
    crops = random_crops(224, 4)
    with load(
        "mobile-emotiface", engine=engine, precision="float32", weights=mobilenet
    ) as backbone:
        found = backbone.features(crops)
    assert least_cosine(found, by_torch("mobile-emotiface", mobilenet, crops)) > 0.99999


def test_mini_xception_is_the_same_by_every_engine() -> None:
    crops = random_crops(64, 6)
    found = [load("mini-xception", engine=engine).features(crops) for engine in ENGINES]
    for other in found[:2]:
        assert np.abs(other - found[2]).max() < 1e-4
        assert least_cosine(other, found[2]) > 0.99999


@pytest.mark.slow
def test_b2_is_the_same_by_every_engine(folder: Path) -> None:
    """Exported for one image only, without a free batch."""
    network = networks.efficientnet(networks.B2, classes=7)
    torch.save(network.state_dict(), folder / "b2.pt")
    graph = networks.export(network, folder / "b2.onnx", 260, dynamo=False, dynamic=False)
    crops = random_crops(260, 2)
    expected = by_torch("enet-b2-7", folder / "b2.pt", crops)
    assert expected.shape == (2, 1408)
    for engine in ENGINES[:2]:
        with load("enet-b2-7", engine=engine, weights=graph) as backbone:
            assert least_cosine(backbone.features(crops), expected) > 0.99999


@pytest.mark.parametrize("engine", ENGINES[:2])
def test_threads_do_not_change_a_byte(b0: tuple[Path, Path], engine: str) -> None:
    crops = random_crops(224, 4)
    found = []
    for threads in (1, 2, 3):
        with load("enet-b0-8-best-afew", engine=engine, weights=b0[0], threads=threads) as backbone:
            found.append(backbone.features(crops).tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("id", ["enet-b0-8-best-vgaf", "mobile-emotiface"])
def test_bfloat16_is_near_or_refused(id: str, b0: tuple[Path, Path], mobilenet: Path) -> None:
    weights = mobilenet if id == "mobile-emotiface" else b0[0]
    crops = random_crops(224, 4)
    exact = load(id, weights=weights, precision="float32")
    if not has_bfloat16():
        with pytest.raises(UsageError, match="bfloat16, which this CPU"):
            load(id, weights=weights, precision="bfloat16")
        return
    rough = load(id, weights=weights, precision="bfloat16")
    assert least_cosine(rough.features(crops), exact.features(crops)) >= 0.9999
    assert rough.provenance != exact.provenance
    assert feature_spec(rough.record) == feature_spec(exact.record)


def test_auto_is_openvino_in_float32() -> None:
    backbone = load("mini-xception")
    assert " openvino " in backbone.provenance
    assert " float32 " in backbone.provenance
    assert (chosen_engine("auto"), chosen_precision("auto")) == ("openvino", "float32")


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bfloat16_only_where_network_and_cpu_have_it(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "_cpu_has_bfloat16", lambda: native)
    assert chosen_precision("auto", True) == ("bfloat16" if native else "float32")
    assert chosen_precision("auto", False) == "float32"
    assert chosen_precision("float32", True) == "float32"


def test_records_allow_bfloat16_where_features_stay_the_same() -> None:
    allowed = {id for id in backbone_ids() if backbone_record(id).bfloat16}
    assert allowed == {id for id in backbone_ids() if id.startswith(("enet-b0", "mobile"))}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"engine": "tensorrt"}, r"engine is 'tensorrt'; choose auto or one of: openvino"),
        ({"precision": "int8"}, r"precision is 'int8'; choose auto or one of: float32"),
        ({"threads": 0}, "threads is 0; give at least 1"),
        ({"engine": "onnxruntime", "precision": "bfloat16"}, "onnxruntime has float32 only"),
        ({"engine": "torch", "precision": "bfloat16"}, "torch has float32 only"),
    ],
)
def test_odd_settings_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load("mini-xception", **settings)  # type: ignore[arg-type]


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_torch(name: str) -> object:
        return object() if name == "torch" else None

    monkeypatch.setattr("common.backbones.engines.choice.importlib.util.find_spec", only_torch)
    assert chosen_engine("auto") == "torch"
    with pytest.raises(UsageError, match=r"'openvino', which is not installed; found: \['torch'\]"):
        chosen_engine("openvino")


def test_blendshapes_needs_its_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="runs in openvino only"):
        load("blendshapes", engine="torch", weights=tmp_path / "model.task")
    with pytest.raises(WorkError, match="cannot be read"):
        load("blendshapes", weights=tmp_path / "model.task")
    (tmp_path / "model.task").write_bytes(b"another")
    with pytest.raises(WorkError, match=r"model\.task: SHA-256 is"):
        load("blendshapes", weights=tmp_path / "model.task")
