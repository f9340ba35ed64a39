"""Devices that keep failing are left out, with the reason, until an operator lets them in."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError, WorkError
from server.defence import Quarantine, Rule
from server.defence.quarantine import Records, Reply

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def quarantine(folder: Path, failures: int = 2, rounds: int = 3) -> Quarantine:
    return Quarantine(folder / "quarantine.json", Rule(failures=failures, rounds=rounds))


def test_a_device_that_keeps_failing_is_left_out_with_its_reasons(tmp_path: Path) -> None:
    kept = quarantine(tmp_path)
    assert kept.note("f", 1, {"a": "not finite", "b": None}) == []
    assert kept.note("f", 2, {"a": None, "b": "too many bytes"}) == []
    (case,) = kept.note("f", 3, {"a": "of another round"}, now=NOW)
    assert (case.device, case.since) == ("a", "2026-01-31T12:00:00Z")
    assert case.reasons == ("not finite", "of another round")
    assert quarantine(tmp_path).cases() == {"a": case}


def test_only_the_last_rounds_in_which_it_replied_count(tmp_path: Path) -> None:
    kept = quarantine(tmp_path)
    for round, reason in enumerate(["bad", None, None, "bad", None, None, "bad"]):
        assert kept.note("f", round, {"a": reason}) == []
        kept.note("f", round, {"b": None})
    assert kept.note("f", 100, {"a": "bad"})  # silent for long in between


def test_the_same_round_again_counts_once(tmp_path: Path) -> None:
    kept = quarantine(tmp_path)
    for _ in range(5):
        assert kept.note("f", 1, {"a": "bad"}) == []
    assert kept.note("g", 1, {"a": "bad"})  # the first round of another federation


def test_an_operator_lets_it_in_again(tmp_path: Path) -> None:
    kept = quarantine(tmp_path)
    for round in (1, 2, 3):
        kept.note("f", round, {"a": "bad", "b": "bad"})
    closed = kept.release("a", by="anna", now=NOW)
    assert (closed.by, closed.released) == ("anna", "2026-01-31T12:00:00Z")
    assert set(kept.cases()) == {"b"}
    assert kept.history() == (closed,)
    assert kept.note("f", 4, {"a": "bad"}) == []  # it starts anew
    assert kept.note("f", 5, {"a": "bad"})
    with pytest.raises(UsageError, match="'c' is not in quarantine"):
        kept.release("c", by="anna")


@given(
    outcomes=st.lists(st.sampled_from(["bad", None]), max_size=30),
    failures=st.integers(1, 4),
    more=st.integers(0, 4),
)
def test_it_is_that_of_the_slow_way(outcomes: list[str | None], failures: int, more: int) -> None:
    rule = Rule(failures=failures, rounds=failures + more)
    records = Records()
    for round, reason in enumerate(outcomes):
        records = records.after("a", Reply("f", round, reason), rule, "")
        past = outcomes[: round + 1]
        windows = [past[max(0, end - rule.rounds) : end] for end in range(1, len(past) + 1)]
        expected = any(sum(r is not None for r in w) >= failures for w in windows)
        assert ("a" in records.cases) == expected
    assert len(records.replies.get("a", ())) <= rule.rounds


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1}', '{"format": 2}', "null"])
def test_a_damaged_file_is_not_an_empty_quarantine(tmp_path: Path, content: str) -> None:
    (tmp_path / "quarantine.json").write_text(content)
    kept = quarantine(tmp_path)
    for call in (kept.cases, kept.history, lambda: kept.note("f", 1, {"a": "bad"})):
        with pytest.raises(WorkError, match=r"quarantine\.json"):
            call()
    assert (tmp_path / "quarantine.json").read_text() == content


def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = quarantine(tmp_path)
    kept.note("f", 1, {"a": "bad"})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            kept.note("f", 2, {"a": "bad"})
    assert kept.cases() == {}
    assert kept.note("f", 2, {"a": "bad"})


def test_two_servers_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path, rule = tmp_path / "quarantine.json", Rule(failures=20, rounds=20)

    def serve(federation: str) -> None:
        for round in range(10):
            Quarantine(path, rule).note(federation, round, {"a": "bad"})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(serve, ["f", "g"]))
    assert len(Quarantine(path, rule).cases()["a"].reasons) == 20


@pytest.mark.parametrize("rule", [{"failures": 0}, {"failures": 6}, {"rounds": 101}])
def test_rules_that_can_not_be(rule: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Rule(**rule)
