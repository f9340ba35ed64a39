"""Default places."""

from __future__ import annotations

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
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_folder() == tmp_path / ".cache" / "mien"


def test_a_named_folder_is_taken_as_it_is() -> None:
    assert simulation_folder("here/there") == Path("here/there")
