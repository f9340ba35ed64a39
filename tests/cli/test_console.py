"""Progress on terminals only, JSON that can be read."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

import cli.console
from cli.console import phase_bars, print_json


def drawn(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80)
    monkeypatch.setattr(cli.console, "errors", console)
    with phase_bars() as watch:
        watch("federation", 1, 4)
        watch("federation", 4, 4)
        watch("pooled ceiling", 0, 2)
    return stream.getvalue()


def test_a_terminal_shows_a_bar_per_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, terminal=True)
    assert "federation" in text
    assert "4/4" in text
    assert "pooled ceiling" in text


def test_a_file_or_pipe_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, terminal=False) == ""


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"b": [1, 0.5, None], "a": {"é [bold]": "\n"}}
    print_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == value
    assert list(json.loads(text)) == ["b", "a"]
    assert text.endswith("}\n")
