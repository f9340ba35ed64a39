"""Ragged clips: what holds, and the file they are kept in."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from common.clips import ClipSet, load_clips, make_clip_set, save_clips
from common.errors import WorkError


def ragged(lengths: list[int], dimension: int = 3, seed: int = 0) -> ClipSet:
    random = np.random.default_rng(seed)
    return make_clip_set(
        [f"clip {i}" for i in range(len(lengths))],
        [f"user {i % 3}" for i in range(len(lengths))],
        [i % 8 for i in range(len(lengths))],
        [random.normal(size=(length, dimension)) for length in lengths],
    )


def same(one: ClipSet, two: ClipSet) -> bool:
    arrays = (("labels", one.labels, two.labels), ("frames", one.frames, two.frames))
    return (
        one.names == two.names
        and one.users == two.users
        and all(a.dtype == b.dtype and np.array_equal(a, b) for _, a, b in arrays)
        and np.array_equal(one.lengths, two.lengths)
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_selection_keeps_each_clip_with_its_frames(lengths: list[int], data: Any) -> None:
    clips = ragged(lengths)
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=10))
    part = clips.select(chosen)
    assert len(part) == len(chosen)
    assert part.dimension == 3
    for position, index in enumerate(chosen):
        assert part.names[position] == clips.names[index]
        assert part.users[position] == clips.users[index]
        assert part.labels[position] == clips.labels[index]
        np.testing.assert_array_equal(part.clip(position), clips.clip(index))


def test_a_single_vector_is_a_clip_of_one_frame() -> None:
    clips = make_clip_set(["a", "b"], ["u", "v"], [1, 2], [[1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]]])
    assert clips.lengths.tolist() == [1, 2]
    assert clips.frames.dtype == np.float32
    assert clips.clip(0).tolist() == [[1.0, 2.0]]
    assert clips.clip(1).tolist() == [[3.0, 4.0], [5.0, 6.0]]


def test_users() -> None:
    clips = ragged([1, 2, 3, 1, 2])
    assert clips.user_names() == ("user 0", "user 1", "user 2")
    assert clips.of_user("user 1").names == ("clip 1", "clip 4")
    assert len(clips.of_user("nobody")) == 0
    assert clips.of_user("nobody").dimension == 3


def test_no_clips() -> None:
    empty = make_clip_set([], [], [], [])
    assert len(empty) == 0
    assert empty.user_names() == ()


@pytest.mark.parametrize(
    "change",
    [
        {"names": ("a",)},
        {"users": ("u", "v", "w")},
        {"labels": np.zeros(1, np.int64)},
        {"lengths": np.array([1, 1, 1])},
        {"lengths": np.array([1, 1])},
        {"lengths": np.array([0, 3])},
        {"lengths": np.array([-1, 4])},
        {"frames": np.zeros(3, np.float32)},
        {"frames": np.zeros((4, 2), np.float32)},
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "names": ("a", "b"),
        "users": ("u", "v"),
        "labels": np.zeros(2, np.int64),
        "frames": np.zeros((3, 2), np.float32),
        "lengths": np.array([1, 2]),
    }
    ClipSet(**good)
    with pytest.raises(ValueError, match=r"differ in number|add up|no frame"):
        ClipSet(**{**good, **change})


@pytest.mark.parametrize("lengths", [[], [1], [3, 1, 2]])
def test_a_file_is_read_back_and_private(tmp_path: Path, lengths: list[int]) -> None:
    clips = ragged(lengths)
    path = tmp_path / "clips"
    save_clips(path, clips)
    assert same(load_clips(path), clips)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_of_any_alphabet_are_kept(tmp_path: Path) -> None:
    clips = make_clip_set(["лицо 笑", 'a"b\n'], ["ü", ""], [0, 1], [[1.0], [2.0]])
    save_clips(tmp_path / "clips", clips)
    assert same(load_clips(tmp_path / "clips"), clips)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="none is not a readable clip file"):
        load_clips(tmp_path / "none")


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clips"
    save_clips(path, ragged([2, 1]))
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(WorkError, match="clips is not a readable clip file"):
            load_clips(path)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"other": "x"},
        {"clips": "not json"},
        {"clips": "[]"},
        {"clips": "3"},
        {"clips": json.dumps({"names": ["a", "b"]})},
        {"clips": json.dumps({"names": 3, "users": 4})},
        {"clips": json.dumps({"names": ["a"], "users": ["b"]})},
    ],
)
def test_another_safetensors_file_is_refused(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    clips = ragged([1, 1])
    tensors = {"frames": clips.frames, "labels": clips.labels, "lengths": clips.lengths}
    (tmp_path / "clips").write_bytes(save(tensors, metadata))
    with pytest.raises(WorkError, match="clips is not a readable clip file"):
        load_clips(tmp_path / "clips")


@pytest.mark.parametrize("shape", [(), (1,), (2, 1)])
def test_labels_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    clips = ragged([1, 1])
    tensors = {
        "frames": clips.frames,
        "labels": np.zeros(shape, np.int64),
        "lengths": clips.lengths,
    }
    about = {"clips": json.dumps({"names": clips.names, "users": clips.users})}
    (tmp_path / "clips").write_bytes(save(tensors, about))
    with pytest.raises(WorkError, match="clips is not a readable clip file"):
        load_clips(tmp_path / "clips")
