"""Drawn avatars: the likeliest expression's picture, as strong as it is sure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from client.avatar.png import picture_of, png_of
from client.avatar.sources.sheet import LEVELS, AvatarSheet, chosen
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from tests.client.avatar.fakes import coloured_sheet, flat

SHARES = some.lists(some.floats(0.0, 1.0), min_size=8, max_size=8).filter(
    lambda each: sum(each) > 0
)


@settings(max_examples=40, deadline=None)
@given(SHARES)
def test_the_likeliest_expression_is_shown_whatever_the_others(shares: list[float]) -> None:
    level, expression = chosen(np.array(shares))
    assert shares[expression] == max(shares)
    assert 0 <= level < LEVELS


def test_surer_is_stronger() -> None:
    levels = [chosen(np.array([p, *[(1 - p) / 7] * 7]))[0] for p in np.linspace(0.13, 1.0, 50)]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, LEVELS - 1)


def test_a_sheet_draws_one_of_its_pictures_and_blends_none() -> None:
    sheet = coloured_sheet()
    found = sheet.draw(flat("sad"), np.eye(8)[EXPRESSIONS.index("happy")])
    np.testing.assert_array_equal(found, sheet.pictures[LEVELS - 1, EXPRESSIONS.index("happy")])


def test_a_sheet_survives_its_file() -> None:
    sheet = coloured_sheet(name="mine")
    again = AvatarSheet.from_png(sheet.to_png(), "mine")
    np.testing.assert_array_equal(again.pictures, sheet.pictures)
    assert again.digest == sheet.digest
    assert coloured_sheet(49).digest != sheet.digest


@pytest.mark.parametrize("shape", [(8, 3, 48, 48, 3), (3, 8, 48, 50, 3), (3, 8, 9, 9, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="expected uint8"):
        AvatarSheet(np.zeros(shape, np.uint8))


def test_another_picture_is_no_sheet() -> None:
    with pytest.raises(UsageError, match="expected 8 x 3 squares"):
        AvatarSheet.from_png(png_of(flat("happy")))


@settings(max_examples=30, deadline=None)
@given(some.binary(max_size=60))
def test_junk_is_no_picture(content: bytes) -> None:
    for text in (content, b"\x89PNG\r\n\x1a\n" + content):
        with pytest.raises(UsageError, match="this thing"):
            picture_of(text, "this thing")


def test_a_picture_that_declares_a_huge_size_is_refused_before_it_is_decoded() -> None:
    content = bytearray(png_of(flat("happy")))
    content[16:20] = (60_000).to_bytes(4, "big")
    with pytest.raises(UsageError, match="too large"):
        picture_of(bytes(content), "it")
