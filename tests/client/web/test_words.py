"""Numbers, times and reasons in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from client.device.texts import CONSENT_TEXT, FIRST_START
from client.web.static_files import FOLDER
from client.web.templates import inline
from client.web.views import change
from client.web.words import answer_view, blocks, sentence, size, when, why
from tests.client.web.fakes import answer


@pytest.mark.parametrize("text", [CONSENT_TEXT, FIRST_START])
def test_every_word_of_a_text_is_shown(text: str) -> None:
    shown = []
    for block in blocks(text):
        shown += [block.items] if isinstance(block.items, str) else list(block.items)
    assert " ".join(shown).split() == text.replace("\n- ", "\n").split()


@given(some.text())
def test_blocks_never_fail_and_lose_no_letters(text: str) -> None:
    shown = "".join(
        block.items if isinstance(block.items, str) else "".join(block.items)
        for block in blocks(text)
    )
    letters = [letter for letter in text if letter.isalnum()]
    assert [letter for letter in shown if letter.isalnum()] == letters


@given(some.text())
def test_marked_code_is_escaped(text: str) -> None:
    shown = str(inline(text)).replace("<code>", "").replace("</code>", "")
    assert "<" not in shown
    assert '"' not in shown


@given(some.text())
def test_a_sentence_ends(text: str) -> None:
    told = sentence(text)
    assert told == "" or told[-1] in ".!?…"


@given(some.integers(min_value=0, max_value=10**15))
def test_sizes_are_near_the_truth(count: int) -> None:
    number, unit = size(count).split()
    factor = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert float(number) * factor == pytest.approx(count, rel=0.006)


def test_times() -> None:
    now = datetime.now(UTC)
    assert when(now.isoformat()).startswith("today, ")
    assert when((now - timedelta(days=800)).isoformat()).endswith(
        str((now - timedelta(days=800)).astimezone().year)
    )
    assert when("soon") == "soon"


def test_why_says_whose_and_by_what() -> None:
    assert why(answer(user="Ada").to_json()) == "Ada, read as for everyone so far"
    assert why(answer().to_json() | {"head": "personal"}) == "Ada, read in Ada’s own way"


def test_an_answer_for_the_script() -> None:
    shown = answer_view(answer(confidence=0.345, warnings=("it is dark",)).to_json())
    assert shown["percent"] in (34, 35)
    assert [each["key"] for each in shown["choices"]][2] == "happy"
    assert shown["warnings"] == ["It is dark."]
    assert shown["moments"][-1]["box"] == (0.35, 0.2, 0.65, 0.75)


@pytest.mark.parametrize("comparison", [None, {}, {"clips": 0}, {"clips": 1, "sentence": ""}])
def test_nothing_to_compare(comparison: dict[str, int] | None) -> None:
    assert change(comparison) is None


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks_for(scheme: str) -> None:
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", light))
    if scheme == "dark":
        colour |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", dark))
    grounds = ("page", "card", "sunk")
    texts = [(text, ground) for text in ("ink", "muted") for ground in (*grounds, "bar")]
    texts += [("accent", ground) for ground in (*grounds, "accent-soft")]
    texts += [("ink", "accent-soft"), ("ink", "bar-top"), ("warn", "warn-soft"), ("warn", "card")]
    texts += [("on-accent", "accent"), ("second", "card")]
    poor = [(a, b) for a, b in texts if contrast(colour[a], colour[b]) < 4.5]
    assert poor == []
    shapes = [("edge", "card"), ("edge", "page"), ("accent", "sunk"), ("second", "sunk")]
    assert [(a, b) for a, b in shapes if contrast(colour[a], colour[b]) < 3] == []
