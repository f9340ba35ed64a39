"""The command, and a device that it made, as fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command


@pytest.fixture
def mien(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a device that is not there yet, and the default of all commands."""
    monkeypatch.setenv("MIEN_DEVICE", str(tmp_path / "device"))
    return tmp_path / "device"


@pytest.fixture
def made(mien: Command, place: Path, tmp_path: Path) -> Path:
    """A device with a key file."""
    done = mien("device", "init", "--key-file", str(tmp_path / "key"))
    assert done.code == 0, done.err
    return place
