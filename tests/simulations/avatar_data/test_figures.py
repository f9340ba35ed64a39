"""Shares, quality and sweeps, by readers whose mistakes are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from simulations.avatar_data.dataset import made_dataset
from simulations.avatar_data.figures import BY_PAIR, BY_PERSON, by_expression, share_of
from simulations.avatar_data.makers import FileMaker, drawn_pairs, mixed
from simulations.avatar_data.quality import quality_of_maker, quality_of_pairs
from simulations.avatar_data.sheets import draw_sheet
from simulations.avatar_data.sweep import PUBLISHED, sweep
from tests.client.avatar.fakes import flat
from tests.client.avatar.networks import toy_onnx
from tests.simulations.avatar_data.fakes import Colour, Copies, flat_faces, nobody


def test_a_share_by_pair_is_wilsons() -> None:
    kept = np.array([True] * 7 + [False] * 3)
    told = share_of(kept, ["a"] * 10, seed=0, purpose="x")
    z, n, p = 1.959964, 10, 0.7
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert told["interval"] == pytest.approx([middle - half, middle + half], abs=1e-4)
    assert (told["share"], told["interval_is"]) == (0.7, BY_PAIR)


def test_a_share_by_person_knows_that_pairs_of_one_person_are_alike() -> None:
    kept = np.repeat([True, False, True, False], 25)
    people = np.repeat(["a", "b", "c", "d"], 25)
    told = share_of(kept, list(people), seed=0, purpose="x")
    assert told["interval_is"] == BY_PERSON
    assert told["interval"] == [0.0, 1.0]


def test_an_interval_by_person_is_about_the_share_itself() -> None:
    """Of people with unequal numbers of pairs the share is not the mean over people."""
    kept = np.array([True] * 30 + [False] * 10 + [False, True])
    people = ["a"] * 20 + ["b"] * 20 + ["c", "d"]
    told = share_of(kept, people, seed=0, purpose="x")
    assert told["interval"][0] < told["share"] < told["interval"][1]
    again = share_of(kept, people, seed=0, purpose="x")
    assert told == again


def test_expressions_are_counted_apart() -> None:
    told = by_expression(
        [2, 2, 7], np.array([True, False, True]), ["a", "b", "a"], seed=0, purpose="x"
    )
    assert {name: each["share"] for name, each in told.items()} == {"happy": 0.5, "surprised": 1.0}


def test_quality_of_pairs_by_labels_and_by_reading(tmp_path: Path) -> None:
    pairs = made_dataset(
        tmp_path, Copies(), flat_faces(), wrong=0.25, synthetic=False, seed=1, watch=nobody
    )
    told = quality_of_pairs(pairs, Colour(confused=("sad",)), seed=0, watch=nobody)
    assert told["labelled"]["share"] == 0.75
    shown = [pair.avatar_expression for pair in pairs.pairs]
    assert told["read"]["kept"] == len(shown) - shown.count("sad")
    assert told["read"]["by_expression"]["sad"]["kept"] == 0
    assert told["read"]["by_expression"]["happy"]["share"] == 1.0
    assert told["synthetic"] is False
    assert told["published"]["published"] is True


def test_quality_of_a_maker_leaves_out_what_the_reader_does_not_know() -> None:
    told = quality_of_maker(
        Copies(), flat_faces(), Colour(unknown=("calm",)), synthetic=True, seed=0, watch=nobody
    )
    assert (told["pairs"], told["read"]["share"]) == (21, 1.0)
    assert told["unknown_to_the_reader"] == ["calm"]


def swept(maker, structures, colours, reader=None):
    return sweep(
        maker,
        flat_faces(),
        reader or Colour(),
        structures,
        colours,
        synthetic=True,
        seed=0,
        watch=nobody,
    )


def test_a_sweep_has_a_row_for_each_pair_of_weights() -> None:
    told = swept(Copies(), [0.225, 0.4], [0.1, 0.8])
    rows = {(row["structure"], row["colour"]): row for row in told["rows"]}
    assert [row["accuracy"]["share"] for row in rows.values()] == [1.0, 1.0, 0.125, 0.125]
    assert rows[0.225, 0.1]["published_percent"] == PUBLISHED[0.225, 0.1] == 56.222
    assert rows[0.225, 0.8]["published_percent"] is None
    assert rows[0.4, 0.1]["by_expression"]["neutral"]["share"] == 1.0
    assert told["best"]["structure"] == 0.225
    assert told["faces_accuracy"]["share"] == 1.0
    assert all(row["accuracy_percent"] > 1 for row in told["published"]["rows"])


def test_a_sweep_of_an_exported_network(tmp_path: Path) -> None:
    """With S the toy network blurs, with C it paints one colour over everything."""
    from client.avatar.sources.generator import load_generator

    maker = FileMaker(load_generator(toy_onnx(tmp_path)))
    told = swept(maker, [0.0], [0.0, 1.0])
    assert [row["accuracy"]["share"] for row in told["rows"]] == [1.0, 0.125]
    with pytest.raises(UsageError, match="expected 0 to 1"):
        swept(maker, [1.5], [])


def test_too_many_weights_are_refused() -> None:
    with pytest.raises(UsageError, match="at most 100"):
        swept(Copies(), [0.1] * 11, [0.1] * 10)


def test_drawn_avatars_mix_shapes_and_colours_apart() -> None:
    face = np.full((4, 4, 3), (200, 60, 60), np.uint8)
    drawing = np.full((4, 4, 3), (40, 80, 160), np.uint8)
    grey = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(mixed(face, drawing, 0.0, 0.0), face, atol=2)
    np.testing.assert_allclose(mixed(face, drawing, 1.0, 1.0), drawing, atol=2)
    assert mixed(face, drawing, 0.0, 0.7)[0, 0] @ grey == pytest.approx(face[0, 0] @ grey, abs=3)
    darker = mixed(face, drawing, 1.0, 0.0)[0, 0]
    assert darker @ grey == pytest.approx(drawing[0, 0] @ grey, abs=3)
    assert darker[0] > darker[2]


def test_drawn_faces_have_drawings_of_their_own() -> None:
    faces, maker = drawn_pairs(range(3, 4), seed=0)
    assert [face.label for face in faces] == list(range(8))
    happy, sad = (maker.avatar(faces[EXPRESSIONS.index(name)]) for name in ("happy", "sad"))
    assert happy.shape == faces[0].picture.shape
    assert np.abs(happy.astype(int) - sad).max() > 50
    with pytest.raises(UsageError, match="expected 0 to 1"):
        maker.weighted(None, 2.0)


def test_sheets_are_of_one_face_and_differ_by_look() -> None:
    sheet = draw_sheet(3, side=48)
    assert sheet.pictures.shape == (3, 8, 48, 48, 3)
    neutral, happy = sheet.pictures[:, 0], sheet.pictures[:, EXPRESSIONS.index("happy")]
    assert (neutral == neutral[0]).all()
    changes = [float(np.abs(each.astype(int) - neutral[0]).mean()) for each in happy]
    assert changes == sorted(changes)
    assert changes[0] > 0
    assert draw_sheet(4, side=48).digest != sheet.digest == draw_sheet(3, side=48).digest
    with pytest.raises(UsageError, match="0 to 9999"):
        draw_sheet(10_000)


def test_the_reader_of_these_tests_reads() -> None:
    assert [Colour().label(flat(name)) for name in EXPRESSIONS] == list(range(8))
