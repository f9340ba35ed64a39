"""`mien device check-identity` on people played by rectangles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import client.recognition.recogniser as recogniser_module
from cli.identity import NAMED_AT_MOST, check_identity, result_lines
from client.recognition.error_rates import error_rates
from client.recognition.known_faces import LeftOut
from common.identity.records import DLIB_RESNET
from tests.client.recognition.fakes import ANN, BOB, clip, frame, tools
from tests.client.recognition.test_error_rates import known


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for owner, face in (("ann", ANN), ("bob", BOB)):
        (tmp_path / owner).mkdir()
        for number in "12":
            clip(tmp_path / owner / f"{number}.mp4", [frame(face)] * 12)
    return tmp_path


def test_the_command_tells_and_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recogniser_module, "load_tools", lambda *_: tools())
    app = typer.Typer()
    app.command()(check_identity)
    told = CliRunner().invoke(app, [str(folder)], catch_exceptions=False).stdout
    assert "strangers let in: 0 of 4 comparisons" in told
    assert "users refused: 0 of 2 comparisons" in told
    assert "not measurable" in told
    result = CliRunner().invoke(app, [str(folder), "--json"], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert found["false_accepts"]["trials"] == 4
    assert found["left_out"] == []


def test_errors_and_what_was_left_out_are_named() -> None:
    found = error_rates(DLIB_RESNET, [known("ann", ANN), known("bob", ANN)])
    left_out = tuple(LeftOut(f"ann/{i}.mp4", "no face") for i in range(NAMED_AT_MOST + 2))
    lines = result_lines(found, left_out)
    assert any("taken for one person: ann/clip and bob/clip" in line for line in lines)
    assert any("users refused: not measurable" in line for line in lines)
    assert lines[-1] == "left out: 2 more"
