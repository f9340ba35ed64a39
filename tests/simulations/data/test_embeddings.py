"""A few faces of each clip as embeddings, cached beside the features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.identity.network import Embeddings, FramedFace
from common.identity.records import DLIB_RESNET, IdentityRecord
from common.video.tracking import EveryFrame
from simulations.data.data_set import of_ravdess
from simulations.data.embeddings import (
    EMBEDDINGS,
    FaceEmbedder,
    FaceEmbeddings,
    IdentityTools,
    embed_clips,
    embeddings_spec,
    evenly,
    only,
    spread,
)
from simulations.data.extraction import extract_all
from simulations.data.features import extract_clips
from simulations.data.ravdess_tree import find_clips
from tests.common.video.clips import flat_images, write_video
from tests.common.video.fakes import BoxDetector, moved, upright_face
from tests.simulations.data.fakes import clip_name, counted_tools, make_tree

FACE = upright_face(4, 8, 24, 40)
BESIDE = upright_face(40, 8, 60, 38)


class LevelNetwork:
    """Embedding: the frame's mean level and the face's left edge."""

    record: IdentityRecord = DLIB_RESNET
    provenance = "by hand"
    calls = 0

    def embed(self, faces: Sequence[FramedFace]) -> Embeddings:
        LevelNetwork.calls += 1
        found = np.zeros((len(faces), DLIB_RESNET.dimension), dtype=np.float32)
        found[:, 0] = [face.frame.mean() for face in faces]
        found[:, 1] = [face.face.box.left for face in faces]
        return found

    def close(self) -> None:
        """Nothing to stop."""


def one_face(_: str) -> IdentityTools:
    return IdentityTools(LevelNetwork(), EveryFrame(BoxDetector(FACE)))


def two_faces(_: str) -> IdentityTools:
    return IdentityTools(LevelNetwork(), EveryFrame(BoxDetector(moved(FACE, -1), BESIDE)))


def blind_in_the_dark(_: str) -> IdentityTools:
    return IdentityTools(LevelNetwork(), EveryFrame(BoxDetector(FACE, dark=90)))


def run(tree: Path, cache: Path, **options: object) -> FaceEmbeddings:
    options = {"make_tools": one_face, "identity": "dlib-resnet", **options}
    return embed_clips(find_clips(tree), cache=cache, **options)  # type: ignore[arg-type]


def level(frame: int) -> float:
    return 15 * frame + 10


def clip_of(root: Path, frames: int) -> Path:
    (root / "Actor_01").mkdir(parents=True)
    write_video(root / "Actor_01" / f"{clip_name(1)}.mp4", flat_images(frames), codec="mpeg4")
    return root


@pytest.mark.parametrize(
    ("frames", "chosen"),
    [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (6, [1, 3, 5]), (7, [0, 4, 6]), (15, [0, 8, 12])],
)
def test_faces_are_spread_over_the_clip(tmp_path: Path, frames: int, chosen: list[int]) -> None:
    (found,) = run(clip_of(tmp_path / "tree", frames), tmp_path / "cache").by_clip.values()
    assert found[:, 0] == pytest.approx([level(frame) for frame in chosen], abs=5)


def test_the_subject_is_the_one_of_the_features(tmp_path: Path) -> None:
    """The larger of two faces."""
    tree = clip_of(tmp_path / "tree", 6)
    (found,) = run(tree, tmp_path / "cache", make_tools=two_faces).by_clip.values()
    assert found[:, 1].tolist() == [FACE.box.left - 1] * EMBEDDINGS


def test_frames_without_a_face_are_passed_over(tmp_path: Path) -> None:
    """Of 12 frames 0, 2, 4, 6, 8 and 10 are looked at; from 6 on they are bright enough."""
    tree = clip_of(tmp_path / "tree", 12)
    (found,) = run(tree, tmp_path / "cache", make_tools=blind_in_the_dark).by_clip.values()
    assert found[:, 0] == pytest.approx([level(frame) for frame in (6, 8, 10)], abs=5)


def test_a_clip_without_a_face_is_left_out_and_the_others_are_not(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", 4, images=3)  # clip i has levels from 15 * i + 10
    found = run(tree, tmp_path / "cache", make_tools=blind_in_the_dark)
    assert sorted(found.by_clip) == [clip_name(i) for i in (4,)]
    assert [Path(left.clip).stem for left in found.left_out] == [clip_name(i) for i in (1, 2, 3)]
    assert {left.reason for left in found.left_out} == {"no_face"}


def test_a_second_run_embeds_nothing(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", 3)
    first = run(tree, tmp_path / "cache")
    calls = LevelNetwork.calls
    second = run(tree, tmp_path / "cache")
    assert (first.embedded, second.embedded, LevelNetwork.calls) == (3, 0, calls)
    assert first.by_clip.keys() == second.by_clip.keys()
    assert all(np.array_equal(first.by_clip[n], second.by_clip[n]) for n in first.by_clip)


def test_two_workers_make_the_same(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", 3)
    one, two = (run(tree, tmp_path / str(n), workers=n).by_clip for n in (1, 2))
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_features_and_embeddings_share_a_folder_and_no_file(tmp_path: Path) -> None:
    tree, cache = make_tree(tmp_path / "tree", 2), tmp_path / "cache"
    before = extract_clips(find_clips(tree), cache=cache, make_tools=counted_tools)
    files = {path: path.read_bytes() for path in cache.glob("*.safetensors")}
    run(tree, cache)
    after = extract_clips(find_clips(tree), cache=cache, make_tools=counted_tools)
    assert (before.extracted, after.extracted) == (2, 0)
    assert len(list(cache.glob("*.safetensors"))) == 4
    assert {path: path.read_bytes() for path in files} == files


def test_networks_never_share_a_file() -> None:
    specs = {FaceEmbedder(identity).spec for identity in ("dlib-resnet", "facenet")}
    assert len(specs) == 2
    assert embeddings_spec(DLIB_RESNET) in specs


def test_the_cache_says_which_frames_were_taken(tmp_path: Path) -> None:
    data = of_ravdess(find_clips(clip_of(tmp_path / "tree", 15)))
    found = extract_all(data, FaceEmbedder("dlib-resnet", one_face), cache=tmp_path / "cache")
    ((_, done),) = found.done
    stored = found.features(done)
    assert stored.numbers.tolist() == [0, 8, 12]
    assert (stored.clip.spec, stored.clip.decoded) == (embeddings_spec(DLIB_RESNET), 4)


def test_only_the_named_clips_are_embedded(tmp_path: Path) -> None:
    tree = find_clips(make_tree(tmp_path / "tree", 3))
    kept = only(tree, [clip_name(2), "none of them"])
    assert [str(clip.name) for clip in kept.clips] == [clip_name(2)]
    assert len(tree.clips) == 3


@given(st.integers(0, 200), st.integers(1, 5))
def test_spread_is_even_and_bounded(count: int, half: int) -> None:
    kept = spread(iter(range(count)), 2 * half)  # type: ignore[arg-type]
    numbers = [int(number) for number in kept]  # type: ignore[call-overload]
    assert len(numbers) <= 2 * half
    assert len(numbers) >= min(count, half)
    assert numbers[:1] == [0][:count]
    assert len(set(np.diff(numbers).tolist())) <= 1


@given(st.integers(0, 50), st.integers(1, 5))
def test_evenly_takes_each_once_in_order(count: int, most: int) -> None:
    numbers = list(evenly(list(range(count)), most))  # type: ignore[arg-type]
    assert len(numbers) == min(count, most)
    assert numbers == sorted(set(numbers))
