from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from common.backbones.registry import MINI_XCEPTION, feature_spec
from common.errors import UsageError, WorkError
from common.video.extract import ClipFeatures
from simulations.data.cache import StoredClip
from simulations.data.data_set import find_videos
from simulations.data.extraction import (
    FAILED,
    TIMED_OUT,
    WORKER_DIED,
    Extraction,
    _is_thinned,
    extract_all,
)
from simulations.data.features import ClipTable, VideoExtractor, extract_clips
from simulations.data.ravdess_tree import find_clips
from tests.common.video.clips import SIZE, write_video
from tests.simulations.data.fakes import (
    BACKBONE,
    blind_in_the_dark,
    buggy_tools,
    clip_name,
    counted_tools,
    deadly_tools,
    dying_tools,
    endless_tools,
    make_tree,
    telling_tools,
)
from tests.support import shared_video


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", 4)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def run(tree: Path, cache: Path, **options: object) -> ClipTable:
    options = {"make_tools": counted_tools, **options}
    return extract_clips(find_clips(tree), cache=cache, **options)  # type: ignore[arg-type]


def left_out(table: ClipTable) -> dict[str, str]:
    return {Path(left.clip).stem: left.reason for left in table.left_out}


def first_levels(table: ClipTable) -> list[int]:
    return [round((float(features[0, 0]) - 10) / 15) for features in table.features]


def test_clips_and_their_features(tree: Path, cache: Path) -> None:
    table = run(tree, cache)
    assert [str(name) for name in table.clips] == [clip_name(i) for i in (1, 2, 3, 4)]
    assert [features.shape for features in table.features] == [(4, 128)] * 4
    assert first_levels(table) == [1, 2, 3, 4]
    assert (table.left_out, table.extracted, table.spec) == ((), 4, feature_spec(MINI_XCEPTION))


def test_second_run_extracts_nothing(tree: Path, cache: Path) -> None:
    first = run(tree, cache)
    calls = BACKBONE.calls
    second = run(tree, cache)
    assert BACKBONE.calls == calls
    assert second.extracted == 0
    assert second.clips == first.clips
    assert all(map(np.array_equal, first.features, second.features))


def test_cache_follows_the_content_not_the_name(tree: Path, cache: Path) -> None:
    run(tree, cache)
    one = tree / "Actor_01" / f"{clip_name(1)}.mp4"
    two = tree / "Actor_02" / f"{clip_name(2)}.mp4"
    three = tree / "Actor_03" / f"{clip_name(3)}.mp4"
    spare = tree / "spare"
    one.rename(spare)
    two.rename(one)
    spare.rename(two)
    write_video(three, [np.full((*SIZE, 3), 85, np.uint8)], codec="mpeg4")
    table = run(tree, cache)
    assert table.extracted == 1
    assert first_levels(table) == [2, 1, 5, 4]


def test_equal_clips_are_extracted_once(tree: Path, cache: Path) -> None:
    one = tree / "Actor_01" / f"{clip_name(1)}.mp4"
    (tree / f"{clip_name(9)}.mp4").write_bytes(one.read_bytes())
    table = run(tree, cache)
    assert (len(table.clips), table.extracted) == (5, 4)


def test_other_choice_of_frames_is_extracted_anew(tree: Path, cache: Path) -> None:
    run(tree, cache)
    table = run(tree, cache, every=2)
    assert table.extracted == 4
    assert [len(features) for features in table.features] == [2] * 4
    assert run(tree, cache, max_frames=1).extracted == 4


@pytest.mark.parametrize(
    "other", [{"engine": "onnxruntime"}, {"engine": "torch"}, {"precision": "bfloat16"}]
)
def test_features_of_engines_and_precisions_are_never_mixed(
    tree: Path, cache: Path, other: dict[str, str]
) -> None:
    known = {"engine": "openvino", "precision": "float32"}
    data = find_videos(tree)
    for options, extracted in ((known, 4), (known | other, 4), (known, 0), (known | other, 0)):
        extractor = VideoExtractor("mini-xception", make_tools=counted_tools, **options)
        found = extract_all(data, extractor, cache=cache)
        assert found.extracted == extracted
        assert found.software.items() >= options.items()


def test_features_of_other_weights_are_never_mixed(
    tree: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    for name in ("enet_b0_8_best_vgaf.hsemotion.onnx", "enet_b0_8_best_vgaf.onnx"):
        (tmp_path / "weights" / name).touch()  # the fake tools do not read them
        extractor = VideoExtractor("enet-b0-8-best-vgaf", make_tools=counted_tools)
        assert extract_all(find_videos(tree), extractor, cache=cache).extracted == 4


def test_workers_get_engine_and_precision(tree: Path, cache: Path) -> None:
    options = {"engine": "onnxruntime", "precision": "float32", "make_tools": telling_tools}
    extractor = VideoExtractor("mini-xception", **options)  # type: ignore[arg-type]
    with pytest.raises(WorkError, match="asked for mini-xception, onnxruntime, float32"):
        extract_all(find_videos(tree), extractor, cache=cache, workers=2)


@pytest.mark.parametrize(
    ("numbers", "every", "thinned"),
    [
        (range(0, 2048), 1, False),
        (range(0, 2052, 2), 1, True),
        (range(0, 4100, 4), 1, True),
        (range(0, 2052, 2), 2, False),
        (range(0, 4100, 4), 2, True),
        (range(0, 20, 2), 1, False),  # by chance
    ],
)
def test_clips_that_were_thinned_are_known(numbers: range, every: int, thinned: bool) -> None:
    count = len(numbers)
    clip = ClipFeatures(np.zeros((count, 1), np.float32), count, count, 0, "x/1/1")
    stored = StoredClip(clip, np.array(numbers, np.int32))
    assert _is_thinned(stored, every) is thinned


@pytest.mark.parametrize("damage", ["empty", "cut", "changed"])
def test_damaged_cache_file_is_made_anew(tree: Path, cache: Path, damage: str) -> None:
    first = run(tree, cache)
    path = sorted(cache.iterdir())[1]
    content = path.read_bytes()
    last = bytes([content[-1] ^ 1])
    path.write_bytes({"empty": b"", "cut": content[:-9], "changed": content[:-1] + last}[damage])
    table = run(tree, cache)
    assert table.extracted == 1
    assert all(map(np.array_equal, first.features, table.features))
    assert path.read_bytes() == content


def spoil(tree: Path) -> None:
    """Clips 1 to 3 unusable, a misnamed file added."""
    (tree / "Actor_01" / f"{clip_name(1)}.mp4").write_bytes(b"")
    (tree / "Actor_02" / f"{clip_name(2)}.mp4").write_text("no video at all")
    cut = tree / "Actor_03" / f"{clip_name(3)}.mp4"
    cut.write_bytes(cut.read_bytes()[:300])
    (tree / "misnamed.mp4").write_bytes(b"")


@pytest.mark.parametrize("workers", [1, 2])
def test_unusable_clips_are_left_out_by_name_and_reason(
    tree: Path, cache: Path, workers: int
) -> None:
    spoil(tree)
    table = run(tree, cache, workers=workers)
    assert [str(name) for name in table.clips] == [clip_name(4)]
    assert left_out(table) == {
        "misnamed": "no_ravdess_name",
        clip_name(1): "empty_file",
        clip_name(2): "not_a_video",
        clip_name(3): "truncated",
    }
    assert table.left_out[1].clip == f"Actor_01/{clip_name(1)}.mp4"
    assert all(len(left.detail) > 20 for left in table.left_out)
    assert len(list(cache.iterdir())) == 1


def test_faults_are_not_cached(tree: Path, cache: Path) -> None:
    path = tree / "Actor_02" / f"{clip_name(2)}.mp4"
    content = path.read_bytes()
    path.write_bytes(content[:200])
    assert len(run(tree, cache).left_out) == 1
    path.write_bytes(content)
    table = run(tree, cache)
    assert (len(table.clips), table.extracted) == (4, 1)


def test_file_that_vanishes_or_blocks_is_named(tree: Path, cache: Path) -> None:
    (tree / f"{clip_name(11)}.mp4").symlink_to(tree / "gone")
    os.mkfifo(tree / f"{clip_name(12)}.mp4")
    assert left_out(run(tree, cache)) == {clip_name(11): "missing", clip_name(12): "not_a_file"}


def test_no_usable_clip_is_a_work_error(tree: Path, cache: Path) -> None:
    spoil(tree)
    (tree / "Actor_04" / f"{clip_name(4)}.mp4").write_text("no video either")
    with pytest.raises(WorkError) as caught:
        run(tree, cache)
    text = str(caught.value)
    assert str(tree) in text
    assert "none of the 4 clips" in text
    assert "(2 times), not_a_video: this is no MP4" in text


def test_error_in_a_library_leaves_one_clip_out(tree: Path, cache: Path) -> None:
    table = run(tree, cache, make_tools=buggy_tools)
    assert left_out(table) == {clip_name(2): FAILED}
    assert table.left_out[0].detail == "ZeroDivisionError: by hand"


def test_workers_give_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    alone = run(tree, tmp_path / "one")
    together = run(tree, tmp_path / "two", workers=2)
    assert together.extracted == 4
    assert together.clips == alone.clips
    assert [f.tobytes() for f in together.features] == [f.tobytes() for f in alone.features]
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()} == files


def test_process_that_dies_costs_one_clip(tree: Path, cache: Path) -> None:
    white = [np.full((*SIZE, 3), 250, np.uint8)] * 2
    write_video(tree / "Actor_02" / f"{clip_name(2)}.mp4", white, codec="mpeg4")
    table = run(tree, cache, workers=2, make_tools=deadly_tools)
    assert left_out(table) == {clip_name(2): WORKER_DIED}
    assert [name.actor for name in table.clips] == [1, 3, 4]


def test_processes_that_always_die_end_the_run(tree: Path, cache: Path) -> None:
    with pytest.raises(WorkError, match="die on every clip"):
        run(tree, cache, workers=2, make_tools=dying_tools)


def test_progress_counts_every_clip(tree: Path, cache: Path) -> None:
    (tree / "Actor_01" / f"{clip_name(1)}.mp4").write_bytes(b"")
    for _ in range(2):
        seen: list[tuple[int, int]] = []
        run(tree, cache, progress=lambda done, total: seen.append((done, total)))  # noqa: B023
        assert seen == [(i, 4) for i in (1, 2, 3, 4)]


def test_arguments_are_checked_before_work(tree: Path, cache: Path) -> None:
    for bad in ({"workers": 0}, {"backbone": "none"}, {"every": 0}, {"max_frames": 0}):
        with pytest.raises(UsageError):
            run(tree, cache, **bad)
    (tree / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no RAVDESS"):
        run(tree / "empty", cache)
    assert not cache.exists()


def test_real_clip_in_a_tree(tmp_path: Path, cache: Path) -> None:
    name = "01-01-08-02-01-01-19"
    folder = tmp_path / "real" / "Actor_19"
    folder.mkdir(parents=True)
    (folder / f"{name}.mp4").symlink_to(shared_video(f"{name}.mp4"))
    table = extract_clips(find_clips(tmp_path / "real"), cache=cache, every=20)
    assert [str(clip) for clip in table.clips] == [name]
    assert table.features[0].shape == (7, 128)


def extracted(root: Path, cache: Path, **options: object) -> Extraction:
    extractor = VideoExtractor("mini-xception", make_tools=counted_tools)
    return extract_all(find_videos(root), extractor, cache=cache, **options)  # type: ignore[arg-type]


def zipped(tree: Path, target: Path) -> Path:
    """The tree as archives, one per folder, inside one archive."""
    target.mkdir()
    with zipfile.ZipFile(target / "all.zip", "w") as outer:
        for folder in sorted(tree.iterdir()):
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(folder.iterdir()):
                    archive.write(path, f"{folder.name}/{path.name}")
            outer.writestr(f"Video_Speech_{folder.name}.zip", inner.getvalue())
    return target


@pytest.mark.parametrize("workers", [1, 2])
def test_archives_give_what_the_unpacked_tree_gives(
    tree: Path, tmp_path: Path, workers: int
) -> None:
    plain = run(tree, tmp_path / "one")
    packed = run(zipped(tree, tmp_path / "zips"), tmp_path / "two", workers=workers)
    assert packed.clips == plain.clips
    assert all(map(np.array_equal, packed.features, plain.features))
    assert packed.extracted == 4
    assert list((tmp_path / "two" / "unpacked").iterdir()) == []
    assert run(tree, tmp_path / "two").extracted == 0  # the content is the same


def test_a_damaged_member_costs_one_clip(tree: Path, tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "zips"
    folder.mkdir()
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        for path in sorted(tree.rglob("*.mp4")):
            archive.write(path, path.name)
    data = bytearray((folder / "x.zip").read_bytes())
    data[300] ^= 1
    (folder / "x.zip").write_bytes(data)
    found = extracted(folder, cache)
    assert [(left.clip, left.reason) for left in found.left_out] == [
        (f"x.zip/{clip_name(1)}.mp4", "archive_damaged")
    ]
    assert len(found.done) == 3


def test_that_a_clip_shows_no_face_is_remembered(tree: Path, cache: Path) -> None:
    black = [np.zeros((*SIZE, 3), np.uint8)] * 3
    write_video(tree / "Actor_02" / f"{clip_name(2)}.mp4", black, codec="mpeg4")
    first = run(tree, cache, make_tools=blind_in_the_dark)
    assert left_out(first) == {clip_name(2): "no_face"}
    calls = BACKBONE.calls
    data = find_videos(tree)
    extractor = VideoExtractor("mini-xception", make_tools=blind_in_the_dark)
    again = extract_all(data, extractor, cache=cache)
    assert (again.extracted, again.looked_at, BACKBONE.calls) == (0, 0, calls)
    assert [left.reason for left in again.left_out] == ["no_face"]


def test_frames_with_a_face_keep_their_numbers(tree: Path, cache: Path) -> None:
    black, grey = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 120, np.uint8)
    pictures = [black, grey, grey, black, black, grey, grey, grey]
    write_video(tree / "Actor_02" / f"{clip_name(2)}.mp4", pictures, codec="mpeg4")
    for every, numbers in ((1, [1, 2, 5, 6, 7]), (2, [2, 6])):
        extractor = VideoExtractor("mini-xception", every, make_tools=blind_in_the_dark)
        found = extract_all(find_videos(tree), extractor, cache=cache)
        stored = found.features(found.done[1][1])
        assert stored.numbers.tolist() == numbers
        assert len(stored.clip.features) == len(numbers)


@pytest.mark.slow  # the limit must be longer than a process takes to start anywhere
def test_a_clip_without_end_is_given_up(tree: Path, cache: Path) -> None:
    white = [np.full((*SIZE, 3), 250, np.uint8)] * 2
    write_video(tree / "Actor_02" / f"{clip_name(2)}.mp4", white, codec="mpeg4")
    extractor = VideoExtractor("mini-xception", make_tools=endless_tools)
    found = extract_all(find_videos(tree), extractor, cache=cache, workers=1, time_limit=30.0)
    (left,) = found.left_out
    assert (left.reason, left.detail) == (
        TIMED_OUT,
        "it took longer than 30 s and was given up; allow more time",
    )
    assert [clip.user for clip, _ in found.done] == ["actor-01", "actor-03", "actor-04"]


def test_a_cache_that_cannot_be_written_ends_the_run(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkError, match="cache cannot be written"):
        run(tree, tmp_path / "file" / "cache")


def test_features_that_vanish_are_told(tree: Path, cache: Path) -> None:
    found = extracted(tree, cache)
    for path in cache.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(WorkError, match="run the same command again"):
        found.features(found.done[0][1])
