"""Inputs: named by what made them, told apart by their content, synthetic where Mien drew them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.ravdess import parse_clip_name
from simulations.actors.manifest import MANIFEST
from simulations.data.ravdess_tree import FoundClip, RavdessTree
from simulations.experiments.inputs import digest, drawn_by_mien, tables, videos, why_not
from simulations.watching import unwatched
from tests.simulations.experiments.fakes import made_up_input, write_ravdess_table

NAME = "01-01-03-02-01-01-12"


def tree(root: Path) -> RavdessTree:
    path = root / "Actor_12" / f"{NAME}.mp4"
    return RavdessTree(root, (FoundClip(parse_clip_name(NAME), path),), (), 0, 0)


@pytest.mark.parametrize("where", [".", "Actor_12", ".."])
def test_clips_that_mien_drew_are_synthetic(tmp_path: Path, where: str) -> None:
    root = tmp_path / "videos"
    (root / "Actor_12").mkdir(parents=True)
    assert not drawn_by_mien(tree(root))
    (root / where / MANIFEST).write_text("{}", encoding="utf-8")
    assert drawn_by_mien(tree(root))


def test_the_digest_is_of_names_users_labels_and_features() -> None:
    clips = made_up_input().clips
    changed = [
        replace(clips, names=("x", *clips.names[1:])),
        replace(clips, users=("x", *clips.users[1:])),
        replace(clips, labels=np.roll(clips.labels, 5)),
        replace(clips, frames=clips.frames + np.float32(1e-3)),
    ]
    assert len({digest(each) for each in (clips, *changed)}) == 5
    assert digest(clips) == digest(clips.select(range(len(clips))))


def test_each_take_is_there_once_where_that_is_asked_for() -> None:
    source = made_up_input()
    clips, names = source.once
    assert names is not None
    assert len(clips) == len({name.take for name in names}) == len(source.clips) // 2
    assert source.about["second_files_of_a_take"] == source.twins == len(clips)


def test_a_table_goes_by_its_own_name_where_it_does_not_say_what_made_it(tmp_path: Path) -> None:
    (offer,) = tables([write_ravdess_table(tmp_path / "mine.csv")])
    source = offer.load()
    assert (offer.name, source.name, source.description) == ("mine", "mine", "mine.csv")
    assert source.twins == len(source.once[0])
    assert not source.synthetic


def test_a_backbone_that_is_not_here_is_named_with_the_reason(tmp_path: Path) -> None:
    assert why_not("mini-xception") == ""
    assert "there is no backbone 'enet-b9'" in why_not("enet-b9")
    (tmp_path / f"{NAME}.mp4").write_bytes(b"")
    names = ("mini-xception", "enet-b9")
    offers, missing = videos(tmp_path, names, every=1, workers=1, watch=unwatched)
    assert [offer.name for offer in offers] == ["mini-xception"]
    assert [each.name for each in missing] == ["enet-b9"]


def test_what_is_made_once_is_not_made_again() -> None:
    source = made_up_input()
    calls: list[int] = []
    for key in ("a", "a", "b"):
        source.once_only(key, lambda: calls.append(1))
    assert len(calls) == 2
