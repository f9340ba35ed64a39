"""Pairs: right and wrong ones in the share that was asked for, labelled in both domains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.avatar.pictures import picture_in
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from simulations.avatar_data.dataset import counted, drawn_dataset, made_dataset
from simulations.avatar_data.faces import drawn_faces, folder_faces
from simulations.avatars.pairs import read_pairs
from tests.client.avatar.fakes import flat
from tests.simulations.avatar_data.fakes import Copies, face_folder, flat_faces, nobody


def made(folder: Path, wrong: float, people: tuple[str, ...] = ("ada", "bo"), seed: int = 0):
    return made_dataset(
        folder,
        Copies(),
        flat_faces(people),
        wrong=wrong,
        synthetic=False,
        seed=seed,
        watch=nobody,
    )


@pytest.mark.parametrize(("wrong", "mismatches"), [(0.0, 0), (0.5, 8), (1.0, 16)])
def test_so_many_are_wrong(tmp_path: Path, wrong: float, mismatches: int) -> None:
    told = counted(made(tmp_path, wrong))
    assert (told["pairs"], told["mismatches"], told["people"]) == (16, mismatches, 2)


def test_both_pictures_show_what_their_labels_say(tmp_path: Path) -> None:
    made(tmp_path, 0.5)
    for pair in read_pairs(tmp_path).pairs:
        for path, name in (
            (pair.face, pair.face_expression),
            (pair.avatar, pair.avatar_expression),
        ):
            np.testing.assert_array_equal(picture_in(tmp_path / path), flat(name))


def test_a_seed_decides_which_are_wrong(tmp_path: Path) -> None:
    tables = [
        (made(tmp_path / str(number), 0.5, seed=seed).folder / "pairs.csv").read_bytes()
        for number, seed in enumerate((1, 1, 2))
    ]
    assert tables[0] == tables[1] != tables[2]


def test_a_person_with_one_expression_has_right_avatars_only(tmp_path: Path) -> None:
    faces = flat_faces(("ada",))[2:3]
    found = made_dataset(
        tmp_path, Copies(), faces, wrong=1.0, synthetic=False, seed=0, watch=nobody
    )
    assert [pair.mismatch for pair in found.pairs] == [False]


@pytest.mark.slow
def test_drawn_pairs_in_another_share(tmp_path: Path) -> None:
    found = drawn_dataset(tmp_path, actors=1, per_expression=1, wrong=0.25, seed=0, watch=nobody)
    assert sum(pair.mismatch for pair in found.pairs) == 2
    assert found.synthetic
    assert [pair.face_expression for pair in found.pairs] == list(EXPRESSIONS)


def test_pairs_are_not_written_over(tmp_path: Path) -> None:
    made(tmp_path, 0.0)
    with pytest.raises(UsageError, match="holds pairs already"):
        made(tmp_path, 0.0)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_a_share_is_a_share(tmp_path: Path, wrong: float) -> None:
    with pytest.raises(UsageError, match="expected a share"):
        made(tmp_path, wrong)


def test_folders_of_faces(tmp_path: Path) -> None:
    found = folder_faces(face_folder(tmp_path / "people", ("ada", "bo")))
    assert [(face.person, face.label) for face in found] == [
        (person, label)
        for person in ("ada", "bo")
        for label in sorted(range(8), key=lambda each: EXPRESSIONS[each])
    ]
    np.testing.assert_array_equal(found[0].picture, flat("angry"))
    (single,) = folder_faces(face_folder(tmp_path / "x", ("ada",)) / "ada")[:1]
    assert single.person == "1"


@pytest.mark.parametrize("folder", ["nothing", "."])
def test_a_folder_without_faces_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "happy.txt").write_text("no picture")
    with pytest.raises(UsageError, match=r"is no folder|holds 0 pictures"):
        folder_faces(tmp_path / folder)


def test_there_are_no_other_actors() -> None:
    with pytest.raises(UsageError, match="1 to 24"):
        drawn_faces(range(20, 26), seed=0)
