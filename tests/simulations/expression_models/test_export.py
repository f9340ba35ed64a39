"""From a trained network to a backbone of the registry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from common.backbones.engines.choice import open_engine
from common.backbones.registry import load
from common.backbones.trained import find_trained, install, trained_network
from simulations.expression_models.export import export_backbone, licence_of
from simulations.expression_models.fine_tune import fine_tune
from simulations.expression_models.networks import make_network
from tests.simulations.expression_models.toys import CLASSES, toy_faces, toy_recipe


@pytest.mark.slow
@pytest.mark.parametrize("id", ["tiny", "dan-tiny"])
def test_features_and_logits_are_torchs(
    id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path / "weights"))
    recipe = toy_recipe()
    faces = toy_faces(4)
    trained = fine_tune(make_network(id, len(CLASSES)), faces, faces, recipe, tmp_path / "run", 0)
    network = trained.network
    export_backbone(
        network, recipe, CLASSES, tmp_path / "out", data="toy", synthetic=True, about={"seed": 0}
    )
    install(tmp_path / "out/backbone.json", f"my-{id}")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    normal = (torch.from_numpy(pixels) - torch.tensor(recipe.mean)) / torch.tensor(recipe.std)
    with torch.inference_mode():
        features, logits = network(normal.permute(0, 3, 1, 2).float())
    backbone = load(f"my-{id}", precision="float32")
    np.testing.assert_allclose(backbone.features(pixels), features, atol=1e-4)
    assert backbone.record.labels == CLASSES
    found = find_trained(f"my-{id}")
    assert found is not None
    rows = open_engine(trained_network(found, labels=True), precision="float32").run(pixels)
    np.testing.assert_allclose(rows[:, network.dimension :], logits, atol=1e-4)


@pytest.mark.parametrize(
    ("data", "synthetic", "words"),
    [
        ("RAF-DB", False, "non-commercial"),
        ("AffectNet", False, "non-commercial"),
        ("mine", False, "terms of the faces"),
        ("synthetic actors", True, "Apache-2.0"),
    ],
)
def test_weights_are_bound_by_the_faces_licence(data: str, synthetic: bool, words: str) -> None:
    assert words in licence_of(data, synthetic=synthetic)
