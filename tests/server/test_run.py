"""What a server keeps on disk: plan, heads and rounds; damaged files say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from common.errors import WorkError
from common.heads.specification import KINDS, HeadSpecification
from common.heads.universal import initial_head
from server.audit.recording_format import read_claim
from server.run import REFERENCE, ServerPlan, load_head, load_plan, run_plan, save_head
from tests.server.fakes import SPECIFICATION, FakeFleet, declines, plan, sends


def server_plan() -> ServerPlan:
    return ServerPlan(SPECIFICATION, (plan(), plan(name="fold-2", rounds=1, evaluate=True)), 3)


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    server_plan().save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == server_plan()


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_comes_back_as_it_was(tmp_path: Path, kind: str) -> None:
    spec = HeadSpecification(kind=kind, dimension=3, features="made-up", key_dimension=2)
    head = initial_head(spec, 5)
    view = {name: np.asfortranarray(array) for name, array in head.arrays.items()}
    save_head(tmp_path / "head.safetensors", replace(head, arrays=view))
    found = load_head(tmp_path / "head.safetensors")
    assert found.specification == spec
    assert set(found.arrays) == set(head.arrays)
    for name, array in head.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        json.dumps({"specification": "{}", "federations": [], "devices": 1}).encode(),
        json.dumps(
            {"specification": SPECIFICATION.to_json(), "federations": ["{}"], "devices": 1}
        ).encode(),
        json.dumps(
            {"specification": SPECIFICATION.to_json(), "federations": [3], "devices": 1}
        ).encode(),
        json.dumps(
            {"specification": SPECIFICATION.to_json(), "federations": [], "devices": "x"}
        ).encode(),
    ],
)
def test_a_damaged_plan_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(WorkError, match=r"plan\.json is not a server's plan"):
        load_plan(tmp_path / "plan.json")


@pytest.mark.parametrize("loader", [load_plan, load_head])
def test_a_missing_file_is_named(tmp_path: Path, loader: Callable[[Path], object]) -> None:
    with pytest.raises(WorkError, match="nothing-here"):
        loader(tmp_path / "nothing-here")


def shorten(content: bytes) -> bytes:
    return content[:-3]


def empty(_: bytes) -> bytes:
    return b""


def noise(_: bytes) -> bytes:
    return bytes(range(256))


def no_metadata(content: bytes) -> bytes:
    return save(load(content))


def other_specification(content: bytes) -> bytes:
    return save(load(content), {"specification": '{"kind": "logistic"}'})


def array_missing(content: bytes) -> bytes:
    arrays = load(content)
    del arrays["user.bias"]
    return save(arrays, {"specification": SPECIFICATION.to_json()})


def other_shape(content: bytes) -> bytes:
    arrays = {**load(content), "user.bias": np.zeros(3, np.float32)}
    return save(arrays, {"specification": SPECIFICATION.to_json()})


def other_dtype(content: bytes) -> bytes:
    arrays = {**load(content), "user.bias": np.zeros(2, np.float64)}
    return save(arrays, {"specification": SPECIFICATION.to_json()})


def not_finite(content: bytes) -> bytes:
    arrays = {**load(content), "user.bias": np.full(2, np.inf, np.float32)}
    return save(arrays, {"specification": SPECIFICATION.to_json()})


@pytest.mark.parametrize(
    "damage",
    [
        shorten,
        empty,
        noise,
        no_metadata,
        other_specification,
        array_missing,
        other_shape,
        other_dtype,
        not_finite,
    ],
)
def test_a_damaged_head_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "head.safetensors"
    save_head(path, initial_head(SPECIFICATION, 1))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WorkError, match=r"head\.safetensors is not a universal head"):
        load_head(path)


def test_a_run_leaves_heads_and_rounds(tmp_path: Path) -> None:
    run_plan(FakeFleet(sends(1.0), sends(2.0)), server_plan(), tmp_path / "server")
    names = {path.name for path in (tmp_path / "server").iterdir()}
    assert names == {"fold-1.safetensors", "fold-2.safetensors", "rounds.json", "privacy.json"}
    first, second = (load_head(tmp_path / "server" / f"fold-{n}.safetensors") for n in (1, 2))
    np.testing.assert_array_equal(first.arrays["user.bias"], 3.0)
    np.testing.assert_array_equal(second.arrays["user.bias"], 1.5)
    rounds = json.loads((tmp_path / "server" / "rounds.json").read_text())
    assert [(r["federation"], r["round"], r["clients"], r["bytes"]) for r in rounds] == [
        ("fold-1", 0, 2, 200),
        ("fold-1", 1, 2, 200),
        ("fold-1", 2, 2, 200),
        ("fold-2", 0, 2, 200),
        ("fold-2", 1, 2, 200),
    ]


def noisy_plan() -> ServerPlan:
    return ServerPlan(SPECIFICATION, (plan(clip_norm=1.0, noise_multiplier=4.0),), 0)


@pytest.mark.parametrize("public", [True, False])
def test_an_auditor_is_told_of_a_claim_also_where_it_is_void(tmp_path: Path, public: bool) -> None:
    """A reference of the devices' own leaves them without noise."""
    server, record = tmp_path / "server", tmp_path / "record"
    if public:
        server.mkdir()
        save_head(server / REFERENCE, initial_head(SPECIFICATION, 1))
    run_plan(FakeFleet(sends(0.1)), noisy_plan(), server, record)
    claim = read_claim(record, "fold-1")
    assert claim is not None
    assert claim.rounds == 2
    assert bool(claim.void) == np.isinf(claim.epsilon) == (not public)


def test_an_auditor_is_told_of_no_claim_where_nobody_took_part(tmp_path: Path) -> None:
    server, record = tmp_path / "server", tmp_path / "record"
    server.mkdir()
    save_head(server / REFERENCE, initial_head(SPECIFICATION, 1))
    asked = ServerPlan(
        SPECIFICATION, (plan(clip_norm=1.0, noise_multiplier=4.0, clients_per_round=1.0),), 0
    )
    run_plan(FakeFleet(declines), asked, server, record)
    assert read_claim(record, "fold-1") is None
