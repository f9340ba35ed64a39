"""Identification in the loop on the page and at the terminal: the results' own figures."""

from __future__ import annotations

import pytest

from cli.tables import identification_table, notes
from simulations.identification.figures import identification_figures
from simulations.report.page import render
from tests.simulations.report.parsed import Page
from tests.simulations.report.samples import Results, sample_results

USERS = ("ann", "bob <i>", "eve")
CAPTION = "Identification in the loop"


def identified(*, synthetic: bool = False, alone: bool = False) -> Results:
    """Sample results: every other clip of ann is taken for bob, one of eve for nobody."""
    results = sample_results(users=USERS, synthetic=synthetic)
    for user, (record,) in results["predictions"].items():
        names = [user] * len(record["labels"])
        names[::2] = [USERS[1]] * len(names[::2]) if user == "ann" else names[::2]
        names[0] = None if user == "eve" else names[0]
        record["identified"] = [[names for _ in draws] for draws in record["personal"]]
        record["stranger"] = [[[None] * len(names) for _ in d] for d in record["personal"]]
        record["personal_identified"] = [[draw[::-1] for draw in d] for d in record["personal"]]
    own_clips = results["accuracy"]["own_clips"]
    devices = [[user] for user in USERS] if alone else [list(USERS)]
    results["identification"] = {
        "synthetic": synthetic,
        "network": "dlib-resnet/1",
        "threshold": 0.6,
        "threshold_source": "somebody",
        "rule": "the nearest",
        "faces_per_clip": 3,
        "test_clips_without_face": 1,
        "devices": devices,
        **identification_figures(
            results["predictions"], own_clips, alone=USERS if alone else (), seed=0
        ),
    }
    return results


@pytest.fixture(scope="module")
def html() -> str:
    return render(identified())


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def test_the_table_is_the_results(html: str) -> None:
    found = identified()["identification"]
    rows = Page(html).table(CAPTION)
    assert len(rows) == len(found["own_clips"])
    for index, row in enumerate(rows):
        low, high = found["intervals"]["identified"][index]
        assert row == [
            str(found["own_clips"][index]),
            *(percent(found[name][index]) for name in ("right", "unknown", "another")),
            percent(found["strangers_taken"][index]),
            percent(found["accuracy"]["given"][index]),
            percent(found["accuracy"]["identified"][index]),
            f"{percent(low)} to {percent(high)}",
        ]


def test_the_figures_are_as_counted_by_hand() -> None:
    found = identified()["identification"]
    assert found["another"] == pytest.approx([0.5 / 3] * 3)
    assert found["unknown"] == pytest.approx([1 / 12 / 3] * 3)
    assert found["right"] == pytest.approx([(0.5 + 1 + 11 / 12) / 3] * 3)
    assert found["strangers_taken"] == [0.0] * 3
    assert found["mistakes"] == [{"user": "ann", "taken_for": USERS[1], "share": 0.5}]


def test_the_terminal_shows_the_same() -> None:
    results = identified()
    found = results["identification"]
    table = identification_table(results)
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    assert [row[-1] for row in rows] == [percent(v) for v in found["accuracy"]["identified"]]
    assert [row[1] for row in rows] == [percent(v) for v in found["right"]]
    assert any("dlib-resnet/1 on one device" in line for line in notes(_whole(results), None))


def _whole(results: Results) -> Results:
    return {"engine": "grid", **results}


@pytest.mark.usefixtures("no_pictures")
def test_where_nobody_shares_a_device_there_are_no_strangers() -> None:
    results = identified(alone=True)
    assert results["identification"]["strangers_taken"] is None
    assert {row[4] for row in Page(render(results)).table(CAPTION)} == {"–"}
    cells = list(identification_table(results).columns[4].cells)
    assert set(cells) == {"-"}


@pytest.mark.usefixtures("no_pictures")
def test_synthetic_figures_say_so(html: str) -> None:
    results = identified(synthetic=True)
    page = Page(render(results))
    (section,) = [e for e in page.all("section") if "find out whose clip" in e.text]
    assert section.text.count("SYNTHETIC") >= 2
    assert "SYNTHETIC" in str(identification_table(results).title)
    assert "SYNTHETIC" not in html


def test_names_are_escaped(html: str) -> None:
    assert "<i>" not in html
    assert "bob <i>" in Page(html).elements[0].text


@pytest.mark.usefixtures("no_pictures")
def test_without_identification_nothing_is_said() -> None:
    html = render(sample_results())
    assert "find out whose clip" not in html
    assert not any("Identification" in line for line in notes(_whole(sample_results()), None))
