"""The numbers on the page are those of the results."""

from __future__ import annotations

import pytest

from simulations.report.page import render
from tests.simulations.pictures import empty_pictures
from tests.simulations.report.parsed import Page
from tests.simulations.report.samples import sample_results

RESULTS = sample_results(users=("ann", "bob", "eve", "kim"), parts=2, seed=3)


@pytest.fixture(scope="module")
def page() -> Page:
    with empty_pictures():
        return Page(render(RESULTS))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def test_accuracy_table(page: Page) -> None:
    found = {(row[0], row[1]): row[2:] for row in page.table("Accuracy and UAR")}
    titles = {
        "universal": "universal, federated",
        "universal_raw": "universal, without user normalisation",
        "pooled": "universal, all data pooled",
    }
    for key, title in titles.items():
        low, high = RESULTS["intervals"][key]
        assert found[title, "0"] == [
            _percent(RESULTS["accuracy"][key]),
            f"{_percent(low)} to {_percent(high)}",
            _percent(RESULTS["uar"][key]),
            *(_percent(RESULTS["spread"][key][name]) for name in ("worst", "median", "best")),
            "",
        ]
    for key, title in (("personal", "personal"), ("local_only", "own clips alone")):
        for index, count in enumerate(RESULTS["accuracy"]["own_clips"]):
            low, high = RESULTS["intervals"][key][index]
            spread = RESULTS["spread"][key]
            assert found[title, str(count)] == [
                _percent(RESULTS["accuracy"][key][index]),
                f"{_percent(low)} to {_percent(high)}",
                _percent(RESULTS["uar"][key][index]),
                *(_percent(spread[name][index]) for name in ("worst", "median", "best")),
                str(RESULTS["users_harmed"][index]) if key == "personal" else "",
            ]


def test_users_table(page: Page) -> None:
    rows = page.table("by user")
    expected = {
        user["user"]: [
            str(user["clips"]),
            *(_percent(user[key]) for key in ("universal", "universal_raw", "pooled")),
            _percent(user["local_only"][-1]),
            _percent(user["personal"][-1]),
        ]
        for user in RESULTS["users"]
    }
    assert {row[0]: row[1:7] for row in rows} == expected
    assert sum(row[7] == "harmed" for row in rows) == RESULTS["users_harmed"][-1]
    universal = [float(row[2]) for row in rows]
    assert universal == sorted(universal)


def test_headline(page: Page) -> None:
    (headline,) = page.all("h1")
    figures = RESULTS["accuracy"]
    assert f"{_percent(figures['personal'][-1])} %" in headline.text
    assert f"{_percent(figures['universal'])} %" in headline.text
    values = [e.text for e in page.all("dd") if e.attributes.get("class") == "value"]
    assert values == [
        f"{_percent(figures['universal'])} %",
        f"{_percent(figures['personal'][-1])} %",
        f"{RESULTS['users_harmed'][-1]} of 4",
        "500 B",
    ]


def test_confusion_tables(page: Page) -> None:
    for title in ("Universal head", "Personal head"):
        rows = page.table(f"{title}: clips")
        assert len(rows) == 8
        totals = sum(float(row[-1]) for row in rows)
        assert totals == sum(user["clips"] for user in RESULTS["users"])
        for row in rows:
            counts = [float(cell.split()[0]) for cell in row[1:-1]]
            assert abs(sum(counts) - float(row[-1])) < 0.5


def test_rounds_and_arrays(page: Page) -> None:
    assert page.table("Rounds by federation") == [
        ["fold-1 and fold-2", "0", "reference", "2", "100", "100", "none"],
        ["", "1 to 2", "head", "2", "1,001", "2,102", "none"],
    ]
    assert page.table("Arrays in one device") == [
        ["reference.centre", "reference", "5", "float32", "20"],
        ["all arrays of the stage", "reference", "", "", "20"],
        ["whole reply, at most", "reference", "", "", "50"],
        ["population.weight", "head", "8 × 5", "float32", "160"],
        ["all arrays of the stage", "head", "", "", "160"],
        ["whole reply, at most", "head", "", "", "501"],
    ]
    assert any("4,204 bytes" in p.text and "6 rounds" in p.text for p in page.all("p"))


@pytest.mark.usefixtures("no_pictures")
def test_settings_and_provenance(page: Page) -> None:
    assert page.table("Settings by federation") == [
        ["fold-1", "0.01", "1.0", "0.75"],
        ["fold-2", "0.01", "1.0", "0.75"],
    ]
    facts = dict(page.table("Source, settings"))
    assert facts["seed"] == "3"
    assert facts["commit"] == "not known"
    assert facts["protocol"] == "by-take"
    assert facts["versions"] == "python 3.11.0, mien 0.1.0"
    known = Page(render({**RESULTS, "commit": "abc123+"}))
    assert dict(known.table("Source, settings"))["commit"] == "abc123+"
