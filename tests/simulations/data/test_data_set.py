"""Layouts of data sets: RAVDESS by name, others by folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from simulations.data.data_set import find_tables, find_videos
from simulations.data.ravdess_tree import VIDEOS, find_clips

ONE, TWO = "01-01-03-01-02-01-01", "01-01-05-01-01-01-02"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_ravdess_by_name_in_folders_and_archives(tmp_path: Path) -> None:
    touch(tmp_path, f"Actor_01/{ONE}.mp4", "Actor_01/happy/x.mp4", "notes.txt")
    with zipfile.ZipFile(tmp_path / "Video_Speech_Actor_02.zip", "w") as archive:
        archive.writestr(f"Actor_02/{TWO}.mp4", b"x")
        archive.writestr(f"Actor_02/{ONE}.mp4", b"x")
        archive.writestr(f"__MACOSX/Actor_02/._{TWO}.mp4", b"x")
    data = find_videos(tmp_path)
    assert [(clip.name, clip.user, EXPRESSIONS[clip.label]) for clip in data.clips] == [
        (ONE, "actor-01", "happy"),
        (TWO, "actor-02", "angry"),
    ]
    assert data.clips[1].origin.members == (f"Actor_02/{TWO}.mp4",)
    assert {left.clip: left.reason for left in data.left_out} == {
        "Actor_01/happy/x.mp4": "no_ravdess_name",
        f"Video_Speech_Actor_02.zip/Actor_02/{ONE}.mp4": "duplicate",
    }
    assert data.skipped == {"audio only": 0, "other files": 2}
    tree = find_clips(tmp_path / "Video_Speech_Actor_02.zip")
    assert [str(clip.name) for clip in tree.clips] == [ONE, TWO]


@pytest.mark.parametrize("suffix", VIDEOS)
def test_ravdess_names_with_any_video_ending(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"{ONE}.mp4", f"{TWO}{suffix}", f"misnamed{suffix.upper()}")
    data = find_videos(tmp_path)
    assert [clip.name for clip in data.clips] == [ONE, TWO]
    assert [(left.clip, left.reason) for left in data.left_out] == [
        (f"misnamed{suffix.upper()}", "no_ravdess_name")
    ]


@pytest.mark.parametrize("beside", [f"{ONE}.mp4", "anna/happy/one.mp4"])
def test_a_folder_named_like_a_clip_is_told(tmp_path: Path, beside: str) -> None:
    touch(tmp_path, beside, f"{TWO}.mp4/notes.txt", ".hidden.mp4/notes.txt", "folder/notes.txt")
    (left,) = find_videos(tmp_path).left_out
    assert (left.clip, left.reason) == (f"{TWO}.mp4", "not_a_file")
    assert "it is a folder" in left.detail


def test_users_and_expressions_by_folder(tmp_path: Path) -> None:
    root = touch(
        tmp_path,
        "anna/happy/one.mp4",
        "anna/Sad/two.MOV",
        "more/ben/happy/one.webm",
        "anna/bored/x.mp4",
        "happy/x.mp4",
        "x.mp4",
        "anna/happy/.hidden.mp4",
        "anna/happy/notes.txt",
    )
    data = find_videos(root)
    assert [(clip.name, clip.user, EXPRESSIONS[clip.label]) for clip in data.clips] == [
        ("anna/Sad/two.MOV", "anna", "sad"),
        ("anna/happy/one.mp4", "anna", "happy"),
        ("more/ben/happy/one.webm", "ben", "happy"),
    ]
    assert {left.clip: left.reason for left in data.left_out} == {
        "anna/bored/x.mp4": "unknown_expression",
        "happy/x.mp4": "no_user_folder",
        "x.mp4": "no_user_folder",
    }
    assert data.skipped == {"other files": 2}


def test_tables_are_found_like_videos(tmp_path: Path) -> None:
    named = touch(tmp_path / "a", f"{ONE}.csv", f"{TWO}.mp4", "other.csv")
    assert [clip.name for clip in find_tables(named).clips] == [ONE]
    plain = touch(tmp_path / "b", "anna/happy/one.csv", "anna/happy/one.mp4")
    assert [clip.name for clip in find_tables(plain).clips] == ["anna/happy/one.csv"]


def test_nothing_to_be_found_is_one_sentence(tmp_path: Path) -> None:
    touch(tmp_path, "happy/x.mp4", "notes.txt")
    with pytest.raises(UsageError) as caught:
        find_videos(tmp_path)
    text = str(caught.value)
    assert str(tmp_path) in text
    assert "1 files were left out (such as happy/x.mp4: it is not in folders" in text
    assert "1 others" in text


@pytest.mark.parametrize("name", ["gone", "notes.txt"])
def test_neither_folder_nor_archive(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(UsageError, match="give the folder with the videos"):
        find_videos(tmp_path / name)


def test_an_archive_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "Video_Speech_Actor_01.zip")
    with pytest.raises(UsageError, match=r"Actor_01\.zip: the archive cannot be used"):
        find_videos(tmp_path)
    with pytest.raises(UsageError, match=r"Actor_01\.zip: the archive cannot be used"):
        find_clips(tmp_path)
