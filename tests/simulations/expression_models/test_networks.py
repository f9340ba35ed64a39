"""Networks: what they begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from common.errors import UsageError, WorkError
from simulations.expression_models.networks import NETWORKS, make_network


def test_the_published_networks_are_there() -> None:
    found = {id: (kind.base, kind.heads) for id, kind in NETWORKS.items()}
    assert found["resnet50"] == ("resnet50", 0)
    assert found["efficientnet-b4"] == ("tf_efficientnet_b4", 0)
    assert found["efficientnetv2-s"] == ("tf_efficientnetv2_s", 0)
    assert found["dan-resnet18"] == ("resnet18", 4)
    assert found["dan-efficientnetv2-s"] == ("tf_efficientnetv2_s", 4)
    assert found["dan-efficientnetv2-s-5"] == ("tf_efficientnetv2_s", 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "dimension"),
    [
        ("resnet50", 2048),
        ("efficientnet-b4", 1792),
        ("efficientnetv2-s", 1280),
        ("dan-resnet18", 512),
        ("dan-efficientnetv2-s", 1280),
        ("dan-efficientnetv2-s-5", 1280),
    ],
)
def test_shapes_of_the_published_networks(id: str, dimension: int) -> None:
    network = make_network(id, 7).eval()
    with torch.inference_mode():
        features, logits = network(torch.zeros(1, 3, 64, 64))
    assert (features.shape, logits.shape) == ((1, dimension), (1, 7))


def test_the_seed_decides_the_weights_and_leaves_the_default_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first, again, other = (make_network("tiny", 3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.linear.weight, again.linear.weight)
    assert not torch.equal(first.linear.weight, other.linear.weight)


def test_weights_of_another_run_go_on_with_other_classes(tmp_path: Path) -> None:
    before = make_network("tiny", 3, seed=1)
    save_file(before.state_dict(), tmp_path / "best.safetensors")
    after = make_network("tiny", 5, weights=tmp_path / "best.safetensors", seed=2)
    pairs = zip(before.base.parameters(), after.base.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert after.linear.weight.shape == (5, before.dimension)


def test_timms_weights_of_the_base_are_taken(tmp_path: Path) -> None:
    state = make_network("tiny", 3, seed=1).base.state_dict()
    classifier = {"fc.weight": torch.zeros(1000, 96)}
    save_file(state | classifier, tmp_path / "timm.safetensors")
    network = make_network("dan-tiny", 3, weights=tmp_path / "timm.safetensors", seed=2)
    assert all(torch.equal(state[name], value) for name, value in network.base.state_dict().items())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WorkError, match=r"other.safetensors: .* not those of timm's test_resnet"):
        make_network("tiny", 3, weights=tmp_path / "other.safetensors")


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UsageError, match="no network 'vgg'"):
        make_network("vgg", 3)
