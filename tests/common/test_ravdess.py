"""RAVDESS names: every field, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.expressions import EXPRESSIONS
from common.ravdess import ClipName, parse_clip_name

HIGHEST = {
    "modality": 3,
    "channel": 2,
    "expression": 8,
    "intensity": 2,
    "statement": 2,
    "repetition": 2,
    "actor": 24,
}
names = st.builds(ClipName, **{field: st.integers(1, top) for field, top in HIGHEST.items()})


@given(names)
def test_a_name_is_read_back(name: ClipName) -> None:
    assert parse_clip_name(str(name)) == name
    assert len(str(name)) == 20


def test_fields_and_label() -> None:
    name = parse_clip_name("02-01-08-02-01-02-19")
    assert name == ClipName(2, 1, 8, 2, 1, 2, 19)
    assert EXPRESSIONS[name.label] == "surprised"
    assert name.take == (1, 8, 2, 1, 2, 19)


@given(names, names)
def test_two_names_are_one_take_if_only_the_modality_differs(one: ClipName, two: ClipName) -> None:
    assert (one.take == two.take) == (str(one)[2:] == str(two)[2:])


@pytest.mark.parametrize(("position", "field"), list(enumerate(HIGHEST)))
def test_the_wrong_field_is_named(position: int, field: str) -> None:
    for value in (0, HIGHEST[field] + 1, 99):
        parts = ["01"] * 7
        parts[position] = f"{value:02d}"
        with pytest.raises(ValueError, match=f"has {field} {value:02d}, expected 01 to"):
            parse_clip_name("-".join(parts))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01-01-03-02-01-01",
        "01-01-03-02-01-01-12-01",
        "1-01-03-02-01-01-12",
        "01_01_03_02_01_01_12",
        "01-01-03-02-01-01-12.mp4",
        " 01-01-03-02-01-01-12",
        "01-01-03-02-01-01-12\n",
        "٠١-01-03-02-01-01-12",
        "-1-01-03-02-01-01-12",
    ],
)
def test_other_text_is_not_a_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a RAVDESS name"):
        parse_clip_name(text)


@given(st.text(max_size=25))
def test_any_text_is_read_back_or_refused(text: str) -> None:
    try:
        name = parse_clip_name(text)
    except ValueError:
        return
    assert str(name) == text
