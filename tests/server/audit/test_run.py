"""The whole audit: its document, its page, its views; the full-size fleet (slow)."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from common.errors import UsageError
from server.audit.finding import FINAL, INDIVIDUAL, SUM, VIEWS, Finding, Outcome, Verdict
from server.audit.lab import Lab, play
from server.audit.report.page import render, write_page
from server.audit.run import ATTACKS, audit, document, failed, overall, write_document
from server.audit.subject import Subject

KEYS = {
    "id", "view", "title", "source", "measure", "figure", "chance", "interval", "threshold",
    "verdict", "meaning", "change", "details",
}  # fmt: skip


@pytest.fixture(scope="module")
def findings(leaky: Subject) -> list[Finding]:
    return audit(leaky)


def test_every_attack_is_played_in_each_of_its_views(findings: list[Finding]) -> None:
    assert {(f.id, f.view) for f in findings} == {(a.id, v) for a in ATTACKS for v in a.views}
    numbers = {int("".join(filter(str.isdigit, a.id))) for a in ATTACKS}
    assert numbers == set(range(1, 13))
    assert all(attack.source for attack in ATTACKS)


def test_the_document_is_plain_json(leaky: Subject, findings: list[Finding]) -> None:
    told = document(leaky, findings, run="lab")
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["verdict"] == "fail"
    assert told["devices"] == 18
    for entry in told["attacks"]:
        assert set(entry) == KEYS
        assert entry["verdict"] in ("pass", "fail", "not measurable")
        assert entry["meaning"].endswith(".")
        assert bool(entry["change"]) or entry["verdict"] != "fail"
        if entry["verdict"] != "not measurable":
            assert entry["figure"] is not None


def test_the_same_audit_gives_the_same_document(leaky: Subject, findings: list[Finding]) -> None:
    again = Subject(leaky.transcript, leaky.candidates, leaky.trainer)
    assert document(again, audit(again), run="lab") == document(leaky, findings, run="lab")


def test_only_the_views_that_are_asked_for(summed: Subject) -> None:
    assert {f.view for f in audit(summed, [FINAL])} == {FINAL}
    seen: list[tuple[int, int]] = []
    audit(summed, [FINAL], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("views", [[], ["all"], [SUM, "sums"]])
def test_another_view_is_refused(summed: Subject, views: list[str]) -> None:
    with pytest.raises(UsageError, match="expected individual, sum, final"):
        audit(summed, views)


def test_between_the_limits_is_told(leaky: Subject) -> None:
    between = Outcome(
        measure="-", verdict=Verdict.NOT_MEASURABLE, meaning="Half of it.", figure=0.5
    )
    attack = replace(ATTACKS[0], run=lambda subject, view: between)
    assert attack.find(leaky, SUM).meaning.endswith("it neither passes nor fails.")


def test_sums_leave_the_individual_view_empty(summed: Subject) -> None:
    found = audit(summed)
    alone = [f for f in found if f.view == INDIVIDUAL]
    assert all(f.figure is None for f in alone if f.id != "A12")
    assert all(f.verdict is not Verdict.FAIL for f in alone)
    assert any("only sums" in f.meaning for f in alone)


def test_nothing_measured_is_no_pass(findings: list[Finding]) -> None:
    unknown = [f for f in findings if f.verdict is Verdict.NOT_MEASURABLE]
    assert overall(unknown) is Verdict.NOT_MEASURABLE
    assert overall([]) is Verdict.NOT_MEASURABLE
    assert overall(findings) is Verdict.FAIL
    assert not failed(unknown)


class Page(HTMLParser):
    """Tags that have to be closed, ids, and whatever would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href") or name.startswith("on"):
                self.loads.append(f"{name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_holds_everything(leaky: Subject, findings: list[Finding], tmp_path: Path) -> None:
    told = document(leaky, findings, run="<lab> & co")
    page = write_page(tmp_path, told).read_text(encoding="utf-8")
    parsed = Page()
    parsed.feed(page)
    assert parsed.open == []
    assert parsed.loads == []
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert page.count("<svg") == 3, "span, people, features; no epsilon was claimed"
    assert "&lt;lab&gt; &amp; co" in page
    assert "<lab>" not in page
    for finding in findings:
        assert f"{finding.id}: " in page
    written = write_document(tmp_path, told)
    assert render(json.loads(written.read_text(encoding="utf-8"))) == page


def test_a_page_without_pictures(summed: Subject) -> None:
    page = render(document(summed, audit(summed, [FINAL]), run="lab"))
    assert "<svg" not in page
    assert "Pictures" not in page


@pytest.fixture(scope="module")
def full() -> Subject:
    """24 devices of 83 clips, 1280 numbers, 15 rounds."""
    return play(Lab(rounds=15))


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["A1", "A3", "A6"])
def test_a_full_fleet_without_defences_fails_loudly(full: Subject, attack: str) -> None:
    found = next(a for a in ATTACKS if a.id == attack).find(full, INDIVIDUAL)
    assert found.verdict is Verdict.FAIL
    assert found.figure is not None
    if attack == "A3":
        assert found.figure >= 0.99
        assert found.details["negatives"] >= 1000
    if attack == "A1":
        assert found.details["gain"] > 0.15
    if attack == "A6":
        assert found.details["rank_1"]["8"] >= 0.9


@pytest.mark.slow
def test_sums_of_a_full_fleet_stay_in_their_ranges() -> None:
    """Measured in the lab: 3.6-3.9 % at 1 % false alarms and 0.9-1.2 % at 0.1 % after 20 rounds."""
    found = audit(play(Lab(secure=True)))
    assert not failed(found)
    span = next(f for f in found if f.id == "A3" and f.view == SUM)
    assert span.details["tpr_intervals"]["1 %"][0] <= 0.039
    assert span.details["tpr_intervals"]["0.1 %"][0] <= 0.012
    final = next(f for f in found if f.id == "A3" and f.view == FINAL)
    assert final.verdict is Verdict.PASS


@pytest.mark.slow
def test_small_totals_fail_though_they_are_summed() -> None:
    """5 devices of 10 clips: 20 rounds show all of them."""
    lab = Lab(clients=5, clips=10, other_takes=300, secure=True)
    found = {f.id: f for f in audit(play(lab), [SUM])}
    assert found["A3"].verdict is Verdict.FAIL
    assert found["A3"].details["tpr_at_1_percent"] >= 0.85
    assert found["A11"].verdict is Verdict.FAIL


@pytest.mark.slow
def test_noise_alone_in_a_full_fleet_is_chance() -> None:
    noisy = replace(Lab(rounds=10), individual_noise=True, clip=0.3, noise_multiplier=3.0)
    found = audit(play(noisy), VIEWS)
    assert [f.id for f in found if f.verdict is Verdict.FAIL] == ["A12"]
