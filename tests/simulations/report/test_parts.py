"""What the page is made of: matrices, traffic, places of labels and dots."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.expressions import EXPRESSIONS
from simulations.report.confusion import (
    Confusion,
    count_text,
    personal_confusion,
    universal_confusion,
)
from simulations.report.curves import spread_out, swarm
from simulations.report.facts import difference, user_rows
from simulations.report.page import render
from simulations.report.svg import inline_svg
from simulations.report.traffic import parcels, traffic
from tests.simulations.report.parsed import Page
from tests.simulations.report.samples import rounds_of, sample_results

SIZE = len(EXPRESSIONS)


def slow_matrix(predictions: dict[str, Any], personal: bool) -> list[list[Fraction]]:
    """Clip by clip, draw by draw, in exact fractions."""
    matrix = [[Fraction(0)] * SIZE for _ in range(SIZE)]
    for user in predictions:
        for record in predictions[user]:
            for clip, label in enumerate(record["labels"]):
                draws = record["personal"][-1] if personal else [record["universal"]]
                for draw in draws:
                    matrix[label][draw[clip]] += Fraction(1, len(draws))
    return matrix


sizes = st.fixed_dictionaries(
    {
        "users": st.lists(st.text(max_size=5), min_size=2, max_size=4, unique=True),
        "own_clips": st.sampled_from([(1,), (1, 2), (1, 2, 4)]),
        "clips": st.integers(1, 9),
        "expressions": st.sets(st.integers(0, SIZE - 1), min_size=1).map(sorted),
        "parts": st.integers(1, 2),
        "draws": st.integers(1, 4),
        "seed": st.integers(0, 99),
        "synthetic": st.booleans(),
    }
)


@given(sizes)
@settings(max_examples=40, deadline=None)
def test_matrices_against_a_slow_oracle(chosen: dict[str, Any]) -> None:
    predictions = sample_results(**chosen)["predictions"]
    for personal, confusion in (
        (False, universal_confusion(predictions)),
        (True, personal_confusion(predictions)),
    ):
        expected = np.array(slow_matrix(predictions, personal), dtype=float)
        np.testing.assert_allclose(confusion.counts, expected, atol=1e-9)
        for row, total in enumerate(expected.sum(axis=1)):
            if total:
                np.testing.assert_allclose(confusion.shares[row], expected[row] / total, atol=1e-9)
            else:
                assert np.isnan(confusion.shares[row]).all()


@pytest.mark.slow
@given(sizes)
@settings(max_examples=6, deadline=None)
def test_any_small_results_make_a_page(chosen: dict[str, Any]) -> None:
    results = sample_results(**chosen)
    page = Page(render(results))
    assert len(page.table("by user")) == len(chosen["users"])
    harmed = sum(row.harmed for row in user_rows(results))
    assert harmed == results["users_harmed"][-1]


def test_mistakes_come_most_frequent_first() -> None:
    counts = np.diag([10.0] * SIZE)
    counts[0, 1], counts[2, 3] = 1.0, 5.0
    counts[7] = 0
    assert Confusion("", counts).mistakes == (
        ("happy", "sad", 5 / 15),
        ("neutral", "calm", 1 / 11),
    )


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (3.0, "3"), (2.9999999, "3"), (2.5, "2.5")])
def test_counts_as_text(count: float, text: str) -> None:
    assert count_text(count) == text


def test_federations_that_differ_stand_apart() -> None:
    entries = rounds_of("a") + rounds_of("b") + rounds_of("c")
    entries[7] = {**entries[7], "clients": 1, "bytes": 600, "failures": ["late"]}
    first, second = traffic(entries)
    assert first.federations == ("a", "b")
    assert second.federations == ("c",)
    assert [run.first.number for run in second.runs] == [0, 1, 2]
    assert second.total == 100 + 600 + 1001
    assert second.rounds[1].failures == ("late",)
    head = parcels(entries)[1]
    assert head.message == 600


def test_rounds_are_sorted_and_summed() -> None:
    (only,) = traffic(rounds_of("a")[::-1])
    assert [entry.number for entry in only.rounds] == [0, 1, 2]
    assert [entry.cumulative for entry in only.rounds] == [100, 1101, 2102]


shares = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(shares)
def test_labels_keep_their_distance_and_order(values: list[float]) -> None:
    places = spread_out(values, 0.05, 0.0, 1.0)
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(places)[order]) >= 0.05 - 1e-9).all()
    assert min(places) >= -1e-9
    assert max(places) <= 1 + 1e-9


def test_labels_with_room_stay_where_they_are() -> None:
    assert spread_out([0.5, 0.1, 0.9], 0.05, 0, 1) == pytest.approx([0.5, 0.1, 0.9])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_dots_stay_in_their_column_and_apart(values: list[float]) -> None:
    offsets = swarm(values)
    assert offsets.min() == 0
    assert offsets.max() <= 0.3 + 1e-9
    rounded = np.rint(np.array(values) * 60)
    pairs = {(a, round(b, 9)) for a, b in zip(rounded, offsets, strict=True)}
    assert len(pairs) == len(values)


def test_differences_agree_with_the_rounded_figures() -> None:
    assert difference(0.9042, 0.7375) == "16.6 points above"
    assert difference(0.51, 0.52) == "1.0 point below"
    assert difference(0.70001, 0.7) == "level with"


def test_svg_is_made_fit_for_a_page() -> None:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'width="9pt" viewBox="0 0 9 9"><metadata>m</metadata><defs><style>*{}</style>'
        '<path id="p" d="M0 0"/></defs><g id="unused" clip-path="url(#c)">'
        '<use xlink:href="#p"/><clipPath id="c"/><text>a &lt; b</text></g></svg>'
    )
    found = inline_svg(drawing, "key", "T & t", "<d>")
    root = ElementTree.fromstring(found)
    assert root.attrib.keys() == {"viewBox", "role", "aria-labelledby", "aria-describedby"}
    assert [child.tag for child in root][:2] == ["title", "desc"]
    assert root.findtext("title") == "T & t"
    assert root.findtext("desc") == "<d>"
    assert 'href="#key-p"' in found
    assert 'clip-path="url(#key-c)"' in found
    assert {e.get("id") for e in root.iter()} - {None} == {
        "key-title",
        "key-desc",
        "key-p",
        "key-c",
    }
    assert "metadata" not in found
    assert "<style" not in found
    assert "http" not in found
