"""The page as a whole: it stands alone, has text for every picture, and escapes what it is told."""

from __future__ import annotations

import re
import stat
from itertools import pairwise
from pathlib import Path

import pytest

from common.errors import UsageError
from simulations.report import write_png, write_report
from simulations.report.page import render
from tests.simulations.report.parsed import Page
from tests.simulations.report.samples import Results, rounds_of, sample_results

FIGURES = 5
NARROW = 3
HOSTILE = '<script>alert("x")</script>&amp;$\\frac{a}$'


@pytest.fixture(scope="module")
def results() -> Results:
    return sample_results()


@pytest.fixture(scope="module")
def html(results: Results) -> str:
    return render(results)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def synthetic() -> Page:
    return Page(render(sample_results(synthetic=True)))


def test_written_whole_for_all_to_read(tmp_path: Path, results: Results, html: str) -> None:
    written = write_report(tmp_path / "new" / "folder", results)
    assert written == tmp_path / "new" / "folder" / "report.html"
    assert written.read_text(encoding="utf-8") == html
    assert stat.S_IMODE(written.stat().st_mode) == 0o644
    assert [path.name for path in written.parent.iterdir()] == ["report.html"]


def test_equal_results_give_equal_bytes(html: str) -> None:
    assert render(sample_results()) == html


def test_other_results_give_another_page(html: str) -> None:
    assert render(sample_results(seed=1)) != html


def test_every_picture_has_a_text_alternative(page: Page) -> None:
    ids = {
        element.attributes["id"]: element for element in page.elements if "id" in element.attributes
    }
    pictures = page.all("svg", "img", "picture", "canvas", "object", "embed", "iframe")
    assert len(pictures) == FIGURES + NARROW
    for picture in pictures:
        assert picture.tag == "svg"
        assert picture.attributes["role"] == "img"
        title = ids[picture.attributes["aria-labelledby"]]
        description = ids[picture.attributes["aria-describedby"]]
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.parent is picture
        assert description.parent is picture
        assert title.text
        assert len(description.text) > 40


def test_ids_are_unique_and_references_lead_somewhere(page: Page, html: str) -> None:
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    references = [e.attributes["href"].lstrip("#") for e in page.all("use")]
    references += re.findall(r"url\(#([^)]+)\)", html)
    references += [e.attributes["aria-labelledby"] for e in page.all("section")]
    assert references
    assert set(references) <= set(ids)


def test_nothing_is_asked_of_a_server(page: Page, html: str) -> None:
    for element in page.elements:
        for name, value in element.attributes.items():
            if name in {"src", "href", "srcset", "poster", "data", "action"}:
                assert value.startswith(("#", "data:")), (element.tag, name, value)
    assert not page.all("script", "iframe", "form")
    assert "http:" not in html
    assert "https:" not in html
    assert "//" not in html.replace("</", "")
    assert "@import" not in html
    assert "@font-face" not in html
    (policy,) = [e for e in page.all("meta") if e.attributes.get("http-equiv")]
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_headings_step_down_one_at_a_time(page: Page) -> None:
    levels = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_tables_have_captions_and_scopes(page: Page) -> None:
    for table in page.all("table"):
        assert table.children[0].tag == "caption"
        assert table.children[0].text
    assert all(head.attributes.get("scope") in {"row", "col"} for head in page.all("th"))


def test_synthetic_stands_everywhere(synthetic: Page) -> None:
    (headline,) = synthetic.all("h1")
    assert headline.text.startswith("SYNTHETIC ")
    assert synthetic.all("title")[0].text.startswith("SYNTHETIC")
    for element in synthetic.all("caption", "figcaption"):
        assert element.text.startswith("SYNTHETIC "), element.text
    drawn = [text.text for text in synthetic.all("text")]
    assert drawn.count("SYNTHETIC DATA") == FIGURES + NARROW


def test_real_results_never_say_synthetic(html: str) -> None:
    assert "synthetic" not in html.lower()


def test_dynamic_text_is_escaped() -> None:
    parts = ("user", "source", "command", "clip", "federation", "failure", "commit", "feature")
    hostile = {part: HOSTILE + part for part in parts}
    results = sample_results(users=(hostile["user"], "bob"))
    results["left_out"] = [{"clip": hostile["clip"], "reason": HOSTILE}]
    results["transmitted"] += rounds_of(hostile["federation"])[:2]
    results["transmitted"][-1]["failures"] = [hostile["failure"]]
    results["features"] = hostile["feature"]
    results |= {part: hostile[part] for part in ("source", "command", "commit")}
    html = render(results)
    page = Page(html)
    assert not page.all("script", "a")
    assert "<script" not in html
    shown = page.elements[0].text
    for text in hostile.values():
        assert text in shown


def test_control_characters_and_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    results = sample_results(users=("a\x00\x1b\ud800b", "字\u202e名"))
    text = write_report(tmp_path, results).read_text(encoding="utf-8")
    assert "a\ufffd\ufffd\ufffdb" in text
    assert "\x00" not in text


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "mien-results/9"},
        {"schema": None},
        {"users": []},
    ],
)
def test_other_results_are_refused(tmp_path: Path, results: Results, change: Results) -> None:
    with pytest.raises(UsageError, match="results"):
        write_report(tmp_path, {**results, **change})
    assert not list(tmp_path.iterdir())


def test_missing_parts_are_named(tmp_path: Path, results: Results) -> None:
    fewer = {key: value for key, value in results.items() if key not in {"uar", "chosen"}}
    with pytest.raises(UsageError, match="lack uar, chosen"):
        write_report(tmp_path, fewer)


@pytest.mark.usefixtures("no_pictures")
def test_folder_that_is_a_file(tmp_path: Path, results: Results) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        write_report(tmp_path / "file", results)


@pytest.mark.usefixtures("no_pictures")
def test_long_lists_are_collapsed_and_short_ones_open(results: Results) -> None:
    for number, is_open in ((3, True), (30, False)):
        left_out = [{"clip": f"clip-{i}", "reason": "no face"} for i in range(number)]
        page = Page(render({**results, "left_out": left_out, "skipped": {"audio only": 7}}))
        (details,) = [d for d in page.all("details") if "Clips and reasons" in d.text]
        assert ("open" in details.attributes) is is_open
        assert len(page.table("Clips left out")) == number
        assert any("audio only 7." in p.text for p in page.all("p"))


def test_picture_for_a_readme(tmp_path: Path, results: Results) -> None:
    first = write_png(tmp_path / "a.png", results).read_bytes()
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(first[i : i + 4]) for i in (16, 20)] == [1200, 700]
    assert write_png(tmp_path / "b.png", results).read_bytes() == first
    marked = write_png(tmp_path / "c.png", {**results, "synthetic": True}).read_bytes()
    assert marked != first


@pytest.mark.parametrize(
    ("users", "own_clips", "expressions", "parts"),
    [(2, (1,), (3,), 1), (70, (1, 2), (0, 7), 1), (3, (1, 2, 4, 8, 16, 32), range(8), 2)],
)
def test_unusual_sizes(
    users: int, own_clips: tuple[int, ...], expressions: tuple[int, ...], parts: int
) -> None:
    results = sample_results(
        users=[f"user-{i}" for i in range(users)],
        own_clips=own_clips,
        expressions=expressions,
        parts=parts,
    )
    page = Page(render({**results, "head": "self-attention"}))
    assert len(page.table("by user")) == users
    assert len(page.table("Accuracy and UAR")) == 3 + 2 * len(own_clips)


def test_what_updates_tell_is_on_the_page_where_it_is_known(html: str) -> None:
    told = {
        "mixing_arrays": ["query_projection"],
        "combinations_per_round": 39,
        "accepted_leak": True,
        "projection": None,
        "exposure_limits": {"share": None, "epsilon": None},
    }
    page = render({**sample_results(), "federation": told})
    assert "LEAK ACCEPTED: this head should not be federated, since its query_projection" in page
    assert "tells 39 exact mixtures" in page
    assert "LEAK" not in html
