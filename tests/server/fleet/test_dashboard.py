"""The dashboard: well-formed, closed to the network, and safe whatever names are in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fleet.charts import Stack, nice_top, stacked_bars
from server.fleet.dashboard import bytes_text, page
from server.fleet.status import DeviceStatus, FleetStatus
from tests.server.fleet.statuses import release, report, status

MADE = datetime(2026, 1, 2, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"'&"


def parsed(now: FleetStatus) -> ElementTree.Element:
    """The page as XML: what is not closed or not escaped fails here."""
    text = page(now, MADE)
    for name in ("meta charset", "meta name", "meta http-equiv"):
        text = re.sub(rf"(<{name}[^>]*)>", r"\1/>", text)
    return ElementTree.fromstring(text.removeprefix("<!doctype html>\n"))


def texts(page: ElementTree.Element) -> str:
    return " ".join(" ".join(page.itertext()).split())


def test_every_text_from_outside_is_escaped() -> None:
    hostile = status(
        fleet=HOSTILE,
        address=HOSTILE,
        devices=(DeviceStatus(HOSTILE, HOSTILE),),
        due=(("device", HOSTILE, HOSTILE),),
        rounds=(report(1, refused=[f"{HOSTILE}: {HOSTILE} ({HOSTILE})"], seconds={HOSTILE: 1.0}),),
        quarantined=(HOSTILE,),
        releases=({**release(1, 0.5), "created": HOSTILE, "metrics": {HOSTILE: 1.0}},),
    )
    root = parsed(hostile)
    assert not list(root.iter("script"))
    assert texts(root).count("alert(1)") > 5


def test_the_page_asks_nobody_for_anything() -> None:
    text = page(status(releases=(release(1, 0.5, uar=0.6),)), MADE)
    assert not re.search(r"https?:|//|src=|href=|url\(|@import|<script|<link|<img", text)
    assert "default-src 'none'" in text


def test_figures_are_those_of_the_reports() -> None:
    refused = ["kitchen: not finite (w)", "attic: too long an update (9)", "attic: not finite (b)"]
    now = status(
        rounds=(report(1, refused=refused, accepted=7, late=2), report(2, refused=["attic"])),
        released=2,
        releases=(release(1, 0.5, uar=0.61), release(2, 0.9, uar=0.62)),
        quarantined=("attic",),
    )
    told = texts(parsed(now))
    assert "1: 7 accepted, 3 refused, 2 late" in told
    assert "not finite 2 too long an update 1 attic 1" in told
    assert "attic quarantined" in told
    assert "2 2 2026-01-02 03:04:05 uar 0.62" in told
    assert "2: 0.9 epsilon" in told


def test_a_fleet_before_its_first_round_has_a_page() -> None:
    told = texts(parsed(status(rounds=(), devices=(), running=False)))
    for sentence in ("not running", "No round is done yet.", "No device is enrolled."):
        assert sentence in told


@given(st.floats(min_value=0, max_value=1e12))
def test_the_axis_holds_the_highest_bar(largest: float) -> None:
    top = nice_top(largest)
    assert top >= min(largest, largest * (1 - 1e-6))
    assert top <= max(1.0, largest * 2.5)


@given(st.lists(st.lists(st.floats(0, 1e9), min_size=3, max_size=3), min_size=1, max_size=300))
def test_bars_stay_inside_and_are_as_high_as_their_amounts(rows: list[list[float]]) -> None:
    names = ("a", "b", "c")
    stacks = [Stack(str(n), dict(zip(names, row, strict=True))) for n, row in enumerate(rows)]
    root = ElementTree.fromstring(
        stacked_bars(stacks, names, title="t", axis="round", told=lambda v: f"{v:g}")
    )
    unit = 174 / nice_top(max(sum(row) for row in rows))
    for group, row in zip(root.findall("g"), rows, strict=True):
        heights = [float(each.attrib["height"]) for each in group.findall("rect")]
        drawn = [amount for amount in row if amount > 0]
        assert heights == pytest.approx([max(0.5, unit * amount) for amount in drawn], abs=0.2)
        for each in group.findall("rect"):
            left = float(each.attrib["x"])
            assert left + 0.1 >= 58
            assert left + float(each.attrib["width"]) <= 512.1


def test_bytes_have_units() -> None:
    assert [bytes_text(each) for each in (0, 999, 1500, 2.5e7)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "25 MB",
    ]
