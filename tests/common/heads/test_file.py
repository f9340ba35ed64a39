"""Universal heads as files, whole and spoilt."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from common.errors import WorkError
from common.heads.file import load_head, read_head, save_head
from common.heads.specification import KINDS, HeadSpecification
from common.heads.universal import UniversalHead, initial_head

ABOUT = {"source": "synthetic actors", "rounds": 3, "versions": {"numpy": "2"}, "l2": 0.1}


def head(kind: str = "logistic", **more: Any) -> UniversalHead:
    specification = HeadSpecification(kind=kind, dimension=5, features="made/1/1", **more)
    random = np.random.default_rng(3)
    arrays = {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in specification.all_shapes().items()
    }
    return UniversalHead(specification, arrays)


def written(path: Path, arrays: dict[str, np.ndarray], **metadata: str) -> Path:
    path.write_bytes(save(arrays, metadata))
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scatter", [False, True])
def test_what_was_saved_is_loaded(tmp_path: Path, kind: str, scatter: bool) -> None:
    path = tmp_path / "head.safetensors"
    saved = head(kind, scatter=scatter)
    save_head(path, saved, ABOUT)
    loaded, about = load_head(path)
    assert about == ABOUT
    assert loaded.specification == saved.specification
    assert loaded.arrays.keys() == saved.arrays.keys()
    for name, array in saved.arrays.items():
        assert loaded.arrays[name].tobytes() == array.tobytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_nothing_need_be_told(tmp_path: Path) -> None:
    save_head(tmp_path / "head", initial_head(head().specification, 1))
    assert load_head(tmp_path / "head")[1] == {}
    bare = head()
    specification = bare.specification.to_json()
    path = written(tmp_path / "bare", dict(bare.arrays), specification=specification)
    assert read_head(path).about == {}


def test_only_whole_heads_are_saved(tmp_path: Path) -> None:
    good = head()
    wrong: list[dict[str, Any]] = [
        {name: array for name, array in good.arrays.items() if name != "user.bias"},
        dict(good.arrays) | {"more": np.zeros(1, np.float32)},
        dict(good.arrays) | {"user.bias": np.zeros(8)},
        dict(good.arrays) | {"user.bias": np.zeros(7, np.float32)},
    ]
    for arrays in wrong:
        with pytest.raises(ValueError, match="not those of its specification"):
            save_head(tmp_path / "head", UniversalHead(good.specification, arrays))
    with pytest.raises(ValueError, match="JSON"):
        save_head(tmp_path / "head", good, {"loss": float("nan")})
    assert not (tmp_path / "head").exists()


def spoilt(change: str) -> tuple[dict[str, Any], dict[str, str]]:
    good = head()
    arrays: dict[str, Any] = dict(good.arrays)
    metadata = {"specification": good.specification.to_json(), "about": "{}"}
    broken = arrays["user.weight"].copy()
    broken[0, 0] = np.inf
    changes: dict[str, Callable[[], object]] = {
        "a missing array": lambda: arrays.pop("user.bias"),
        "an unknown array": lambda: arrays.update(other=np.zeros(2, np.float32)),
        "another shape": lambda: arrays.update({"user.bias": np.zeros(9, np.float32)}),
        "another type": lambda: arrays.update({"user.bias": np.zeros(8)}),
        "infinity": lambda: arrays.update({"user.weight": broken}),
        "no specification": lambda: metadata.pop("specification"),
        "a broken specification": lambda: metadata.update(specification="{"),
        "an unknown setting": lambda: metadata.update(
            specification=json.dumps(json.loads(metadata["specification"]) | {"colour": 3})
        ),
        "a list about it": lambda: metadata.update(about="[]"),
        "no JSON about it": lambda: metadata.update(about="nothing"),
        "JSON without end": lambda: metadata.update(about="[" * 100_000),
    }
    changes[change]()
    return arrays, metadata


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("a missing array", "'user.bias' is missing"),
        ("an unknown array", "'other' is unknown"),
        ("another shape", r"F32 \[9\], expected F32 \[8\]"),
        ("another type", "F64"),
        ("infinity", "'user.weight' is not finite"),
        ("no specification", "no universal head"),
        ("a broken specification", "can't be read"),
        ("an unknown setting", "colour"),
        ("a list about it", "no JSON object"),
        ("no JSON about it", "can't be read"),
        ("JSON without end", "can't be read"),
    ],
)
def test_a_spoilt_head_is_told_in_one_sentence(tmp_path: Path, change: str, told: str) -> None:
    arrays, metadata = spoilt(change)
    path = written(tmp_path / "head.safetensors", arrays, **metadata)
    with pytest.raises(WorkError, match=told) as caught:
        read_head(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="no such file"):
        load_head(tmp_path / "absent")
    with pytest.raises(WorkError, match="no readable head"):
        load_head(tmp_path)


@given(content=st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("heads") / "head"
    path.write_bytes(content)
    with pytest.raises(WorkError):
        read_head(path)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_cut_or_damaged_file_is_refused_or_a_whole_head(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("heads") / "head"
    save_head(path, head(), ABOUT)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = read_head(path)
    except WorkError:
        return
    assert {name: array.shape for name, array in found.arrays.items()} == (
        found.specification.all_shapes()
    )
    assert all(np.isfinite(array).all() for array in found.arrays.values())


def test_a_head_is_read_without_torch() -> None:
    code = "import sys, common.heads.file; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
