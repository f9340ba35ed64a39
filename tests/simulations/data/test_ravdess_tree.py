from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError
from simulations.data.ravdess_tree import DUPLICATE, NO_RAVDESS_NAME, find_clips


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_tree_as_downloaded(tmp_path: Path) -> None:
    root = touch(
        tmp_path,
        "Actor_02/01-02-03-01-01-01-02.mp4",
        "Actor_02/02-01-08-02-01-01-02.mp4",
        "Actor_01/01-01-03-01-02-01-01.MP4",
        "Video_Song_Actor_01/Actor_01/01-02-01-01-01-01-01.mp4",
        "Audio_Speech/Actor_01/03-01-01-01-01-01-01.wav",
        "Audio_Speech/Actor_01/03-01-01-01-01-02-01.mp4",
        "01-01-05-01-01-01-09.mp4",
        "readme.txt",
        "other.wav",
        "Actor_01/._01-01-03-01-02-01-01.mp4",
    )
    tree = find_clips(root)
    assert [str(clip.name) for clip in tree.clips] == [
        "01-01-03-01-02-01-01",
        "01-01-05-01-01-01-09",
        "01-02-01-01-01-01-01",
        "01-02-03-01-01-01-02",
        "02-01-08-02-01-01-02",
    ]
    assert all(clip.path.stem == str(clip.name) for clip in tree.clips)
    assert tree.left_out == ()
    assert (tree.audio_only, tree.ignored) == (2, 3)


def test_mp4_files_with_other_names_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "01-01-01-01-01-01-01.mp4", "b/holiday.mp4", "a/01-01-01-01-01-01-25.mp4")
    tree = find_clips(tmp_path)
    assert [(left.clip, left.reason) for left in tree.left_out] == [
        ("a/01-01-01-01-01-01-25.mp4", NO_RAVDESS_NAME),
        ("b/holiday.mp4", NO_RAVDESS_NAME),
    ]
    assert "actor 25" in tree.left_out[0].detail
    assert len(tree.clips) == 1


def test_second_file_of_a_name_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "Actor_01/01-01-01-01-01-01-01.mp4", "copy/01-01-01-01-01-01-01.mp4")
    tree = find_clips(tmp_path)
    assert [clip.path.parent.name for clip in tree.clips] == ["Actor_01"]
    ((clip, reason, detail),) = tree.left_out
    assert (clip, reason) == ("copy/01-01-01-01-01-01-01.mp4", DUPLICATE)
    assert "Actor_01/01-01-01-01-01-01-01.mp4" in detail


def test_folder_named_like_a_clip_is_searched(tmp_path: Path) -> None:
    touch(tmp_path, "01-01-01-01-01-01-01.mp4/01-01-01-01-01-01-02.mp4")
    assert [clip.name.actor for clip in find_clips(tmp_path).clips] == [2]


def test_dangling_link_is_a_clip_to_be_reported_later(tmp_path: Path) -> None:
    (tmp_path / "01-01-01-01-01-01-01.mp4").symlink_to(tmp_path / "gone.mp4")
    assert len(find_clips(tmp_path).clips) == 1


@pytest.mark.parametrize("names", [(), ("holiday.mp4", "03-01-01-01-01-01-01.wav", "a.txt")])
def test_folder_without_a_clip_is_a_usage_error(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(UsageError) as caught:
        find_clips(tmp_path)
    text = str(caught.value)
    assert str(tmp_path) in text
    counts = "1 videos with other names, 1 audio-only clips and 1 other"
    assert not names or counts in text


def test_root_must_be_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "file")
    with pytest.raises(UsageError, match="is a file"):
        find_clips(tmp_path / "file")
    with pytest.raises(UsageError, match="does not exist"):
        find_clips(tmp_path / "none")


@given(
    actors=st.sets(st.integers(1, 24), min_size=1, max_size=6),
    folders=st.lists(st.sampled_from([".", "x", "x/y", "Actor_03"]), min_size=6, max_size=6),
)
def test_places_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, actors: set[int], folders: list[str]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for actor, folder in zip(sorted(actors), folders, strict=False):
        touch(root, f"{folder}/01-01-01-01-01-01-{actor:02d}.mp4")
    assert [clip.name.actor for clip in find_clips(root).clips] == sorted(actors)
