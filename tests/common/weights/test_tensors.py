"""Weights files as torch and safetensors write them, against what torch itself reads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from common.errors import WorkError
from common.weights.tensors import read_state_dict
from tests.common.weights.archived import rezipped

NETWORKS = ("tf_efficientnet_b0.ns_jft_in1k", "efficientnet_b0", "tf_efficientnet_b2.ns_jft_in1k")
DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def network(name: str) -> nn.Module:
    """As EmotiEffLib makes them: timm's, with a classifier of its own."""
    torch.manual_seed(0)
    made = timm.create_model(name, pretrained=False)
    made.classifier = nn.Sequential(nn.Linear(made.classifier.in_features, 8))
    return made


def saved(path: Path, value: object, *, legacy: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def check_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_give_their_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, legacy: bool
) -> None:
    made = network(name)
    path = saved(tmp_path / "network.pt", made, legacy=legacy)
    # Nothing that is needed to unpickle them may be imported.
    for module in [name for name in sys.modules if name.split(".")[0] == "timm"]:
        monkeypatch.setitem(sys.modules, module, None)
    check_equal(read_state_dict(path), made.state_dict())


def test_networks_of_timms_older_releases_are_read(tmp_path: Path) -> None:
    made = network(NETWORKS[0])
    older = {
        b"timm.models._efficientnet_blocks\n": b"timm.models.efficientnet_blocks\n",
        b"timm.layers.": b"timm.models.layers.",
        b"torch.nn.modules.activation\nSiLU\n": b"timm.models.layers.activations_me\nSwishMe\n",
    }
    path = rezipped(saved(tmp_path / "new.pt", made), tmp_path / "old.pt", older)
    check_equal(read_state_dict(path), made.state_dict())


@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts_are_read_as_torch_reads_them(tmp_path: Path, legacy: bool) -> None:
    expected = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()
    path = saved(tmp_path / "state.pt", expected, legacy=legacy)
    check_equal(read_state_dict(path), torch.load(path, weights_only=True))
    check_equal(read_state_dict(path), expected)


def test_safetensors_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    expected = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.int64)}
    save_file(expected, tmp_path / "weights.pt")
    found = read_state_dict(tmp_path / "weights.pt")
    check_equal({name: found[name] for name in sorted(found)}, expected)


shapes = st.lists(st.integers(0, 3), max_size=4)


@given(
    shapes=st.dictionaries(
        st.text(max_size=8), st.tuples(shapes, st.sampled_from(DTYPES)), max_size=4
    ),
    protocol=st.integers(2, 5),
    legacy=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_all_shapes_and_types_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    shapes: dict[str, tuple[list[int], torch.dtype]],
    protocol: int,
    legacy: bool,
    seed: int,
) -> None:
    draw = np.random.default_rng(seed)
    expected = {
        name: torch.from_numpy(draw.integers(0, 100, shape)).to(dtype)
        for name, (shape, dtype) in shapes.items()
    }
    path = tmp_path_factory.mktemp("shapes") / "state.pt"
    torch.save(expected, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    check_equal(read_state_dict(path), expected)


@pytest.mark.parametrize("legacy", [False, True])
def test_views_keep_what_they_show(tmp_path: Path, legacy: bool) -> None:
    whole = torch.arange(24.0).reshape(2, 3, 4)
    expected = {
        "whole": whole,
        "turned": whole.transpose(0, 2),
        "part": whole[1, 1:, ::2],
        "one": whole[1, 2, 3],
        "none": whole[:0],
    }
    path = saved(tmp_path / "views.pt", expected, legacy=legacy)
    check_equal(read_state_dict(path), expected)


class Layered(nn.Module):
    """Has what a layer can have; pickled under a name that stand-ins know."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.ones(2))
        self.register_parameter("absent", None)
        self.register_buffer("kept", torch.zeros(3))
        self.register_buffer("transient", torch.zeros(4), persistent=False)
        self.register_buffer("unset", None)
        self.inner = nn.Linear(2, 2)
        self.again = self.inner
        self.missing: Any = None
        self._modules["hole"] = None
        self.label = "something else"


@pytest.mark.parametrize("legacy", [False, True])
def test_what_is_no_weight_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    known = type("Sequential", (Layered,), {"__module__": "torch.nn.modules.container"})
    monkeypatch.setattr(nn.modules.container, "Sequential", known)
    made = known()
    path = saved(tmp_path / "layered.pt", made, legacy=legacy)
    found = read_state_dict(path)
    assert list(found) == list(made.state_dict())
    assert "transient" not in found
    check_equal(found, made.state_dict())


def test_what_is_no_weights_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    for content in (b"", b"P", b"<html>", b"\x80\x04N.", b"{}" * 40, b"x" * 100):
        path.write_bytes(content)
        with pytest.raises(WorkError, match=r"file\.pt: not read, since"):
            read_state_dict(path)
    with pytest.raises(WorkError, match=r"none\.pt: can't be read"):
        read_state_dict(tmp_path / "none.pt")


@pytest.mark.parametrize("value", [[torch.ones(1)], torch.ones(1), {"a": 1}, {"a": {"b": 1}}, None])
def test_other_saved_values_are_told(tmp_path: Path, value: object) -> None:
    with pytest.raises(WorkError, match="expected a"):
        read_state_dict(saved(tmp_path / "value.pt", value))
