"""The command, and a device that it made, as fixtures."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import typer.testing

from client.vault.upkeep import Upkeep
from client.vault.vault import create_vault
from tests.cli.command import Command
from tests.client.vault.support import CHEAP

build = functools.cache(typer.main.get_command)


@pytest.fixture(autouse=True, scope="module")
def commands_are_built_once() -> Iterator[None]:
    """Typer builds all of them at each call, which takes longer than most of what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", build)
        patch.setattr(typer.testing, "_get_command", build)
        yield


@pytest.fixture
def cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is locked here with a passphrase costs next to nothing to open."""
    for function in (create_vault, Upkeep.rekey):
        monkeypatch.setitem(function.__kwdefaults__, "cost", CHEAP)


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
