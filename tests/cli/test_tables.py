"""Results as a table: every figure is the results' own, and synthetic ones say so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import cli.tables
from cli.tables import accuracy_table, notes, print_results


def results(**changes: Any) -> dict[str, Any]:
    figures = {
        "universal": 0.701,
        "universal_raw": 0.602,
        "pooled": 0.703,
        "personal": [0.774, 0.885],
        "local_only": [0.555, 0.666],
    }
    single = {name: value for name, value in figures.items() if isinstance(value, float)}
    curves = {name: value for name, value in figures.items() if isinstance(value, list)}
    intervals = {name: [0.111, 0.999] for name in single}
    spread = {name: {"worst": 0.123, "median": 0.456, "best": 0.789} for name in single}
    return {
        "synthetic": False,
        "source": "table.csv",
        "clients": 24,
        "protocol": "by-take",
        "head": "logistic",
        "rounds": 30,
        "accuracy": {"own_clips": [1, 4], **figures},
        "uar": {"own_clips": [1, 4], **figures},
        "intervals": intervals | {name: [[0.222, 0.888]] * 2 for name in curves},
        "spread": spread
        | {n: {"worst": [0.1] * 2, "median": [0.2] * 2, "best": [0.3] * 2} for n in curves},
        "users_harmed": [3, 1],
        "resting_stream": {"universal": 0.612, "universal_raw": 0.602},
        "transmitted": [{"bytes": 1000}, {"bytes": 234}],
        "left_out": [],
        "seconds": 41.5,
        "command": "mien simulate --features table.csv",
        **changes,
    }


def cells(table: Any) -> list[list[str]]:
    columns = [list(column.cells) for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_a_row_per_head_and_number_of_own_clips() -> None:
    rows = cells(accuracy_table(results()))
    assert [(row[1], row[2]) for row in rows] == [
        ("0", "70.1"),
        ("0", "60.2"),
        ("0", "70.3"),
        ("1", "55.5"),
        ("4", "66.6"),
        ("1", "77.4"),
        ("4", "88.5"),
    ]
    assert rows[0][3:] == ["11.1 to 99.9", "70.1", "12.3", "45.6", "78.9"]
    assert rows[-1][3:] == ["22.2 to 88.8", "88.5", "10.0", "20.0", "30.0"]


def printed(monkeypatch: pytest.MonkeyPatch, width: int = 120, **changes: Any) -> str:
    stream = io.StringIO()
    monkeypatch.setattr(cli.tables, "output", Console(file=stream, width=width))
    print_results(results(**changes), None)
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_no_figure_is_cut_off(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    text = printed(monkeypatch, width)
    for figure in ("70.1", "11.1 to 99.9", "22.2 to 88.8", "88.5", "78.9"):
        assert figure in text
    assert "…" not in text


def test_synthetic_results_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "SYNTHETIC" in printed(monkeypatch, synthetic=True)
    assert "SYNTHETIC" not in printed(monkeypatch)


@pytest.mark.parametrize("source", ["a [bold]x.csv", "[/].csv", "[red].csv"])
def test_a_source_s_name_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    text = printed(monkeypatch, source=source, command=f"mien simulate --features '{source}'")
    assert text.count(source) == 2


def test_notes_tell_of_harm_traffic_and_what_was_left_out() -> None:
    left_out = [{"clip": "02-01-01", "reason": "same take as 01-01-01"}] * 2
    text = "\n".join(notes(results(left_out=left_out), Path("out")))
    assert "3 at 1, 1 at 4 own clips" in text
    assert "1234 bytes" in text
    assert "Left out: 2 clips, such as 02-01-01 (same take as 01-01-01)." in text
    assert "mien simulate --features table.csv" in text
    assert str(Path("out") / "results.json") in text
    assert "Left out" not in "\n".join(notes(results(), None))
