"""Pairs: which are drawn, the folder that holds them, and the refusal of damaged ones."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import cv2
import pytest

from common.errors import UsageError, WorkError
from simulations.avatars.pairs import (
    ABOUT,
    TABLE,
    LabelledPair,
    draw_pairs,
    plan_pairs,
    read_pairs,
    write_pairs,
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    draw_pairs(folder, seed=3, actors=1, per_expression=1, size=48)
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged; its pictures are empty files."""
    for path in drawn.rglob("*.png"):
        copy = tmp_path / path.relative_to(drawn)
        copy.parent.mkdir(exist_ok=True)
        copy.touch()
    for name in (TABLE, ABOUT):
        (tmp_path / name).write_bytes((drawn / name).read_bytes())
    return tmp_path


def rewrite(folder: Path, text: str) -> None:
    """A changed table whose digest is right."""
    (folder / TABLE).write_text(text, encoding="utf-8")
    told = json.loads((folder / ABOUT).read_text())
    told["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / ABOUT).write_text(json.dumps(told))


def test_half_of_the_planned_pairs_are_wrong() -> None:
    planned = plan_pairs(0, 5, "pairs", 6)
    assert sum(face.label != avatar.label for face, avatar in planned) == len(planned) / 2
    assert set(Counter(face.label for face, _ in planned).values()) == {6}


def test_no_picture_is_in_two_pairs() -> None:
    planned = plan_pairs(0, 5, "pairs", 6)
    assert len({shot for pair in planned for shot in pair}) == 2 * len(planned)


def test_what_was_drawn_is_read_back(drawn: Path) -> None:
    found = read_pairs(drawn)
    planned = plan_pairs(3, 1, "pairs", 1)
    assert [pair.mismatch for pair in found.pairs] == [f.label != a.label for f, a in planned]
    assert found.synthetic
    assert {pair.person for pair in found.pairs} == {"actor-01"}
    avatar = cv2.imread(str(drawn / found.pairs[0].avatar))
    assert avatar is not None
    assert avatar.shape == (48, 48, 3)


def test_a_cut_table_is_refused(folder: Path) -> None:
    path = folder / TABLE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WorkError, match="cut short or changed"):
        read_pairs(folder)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("neutral", "bored", "line 2: expression 'bored' is unknown"),
        ("actor-01/00000-face.png", "../secret.png", "no path below the folder"),
        ("actor-01/00000-face.png", "/etc/hostname", "no path below the folder"),
        ("actor-01/00000-face.png", "gone.png", "it is not there"),
        ("mismatch", "wrong", "expected the columns"),
        (",0,actor-01", ",1,actor-01", "mismatch is '1', but the face"),
        (",actor-01\n", "\n", "cells, expected 6"),
    ],
)
def test_a_damaged_table_is_refused(folder: Path, old: str, new: str, words: str) -> None:
    rewrite(folder, (folder / TABLE).read_text().replace(old, new, 1))
    with pytest.raises(WorkError, match=words):
        read_pairs(folder)


def test_another_format_is_refused(folder: Path) -> None:
    (folder / ABOUT).write_text('{"format": "mien-avatar-pairs/9"}')
    with pytest.raises(WorkError, match="is not of format"):
        read_pairs(folder)


def test_a_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="no readable pairs"):
        read_pairs(tmp_path)


def test_pairs_without_their_pictures_are_not_written(tmp_path: Path) -> None:
    pair = LabelledPair("a.png", "b.png", "happy", "sad", "somebody")
    with pytest.raises(UsageError, match=r"a\.png: a pair names this picture"):
        write_pairs(tmp_path, [pair], synthetic=False)
