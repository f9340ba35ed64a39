"""Default places."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from common.paths import cache_folder, simulation_folder


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "mien"
    assert simulation_folder("") == tmp_path / "mien" / "flower-simulation"


@pytest.mark.parametrize("value", ["", None, "relative/cache"])
def test_without_a_usable_variable_the_cache_is_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """The XDG convention tells to ignore a relative path; it would differ from app to app."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_folder() == tmp_path / ".cache" / "mien"


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", None, "home/.cache/mien"),
        ("darwin", "local", "home/Library/Caches/mien"),
        ("win32", "local", "local/mien"),
        ("win32", None, "home/AppData/Local/mien"),
    ],
)
def test_every_platform_has_its_own_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    variable: str | None,
    expected: str,
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    if variable is not None:
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / variable))
    assert cache_folder() == tmp_path / expected


def test_a_named_folder_is_taken_as_it_is() -> None:
    assert simulation_folder("here/there") == Path("here/there")
