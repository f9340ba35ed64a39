"""One process, or one thread, at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import WorkError
from common.weights.locks import exclusive


def test_a_held_lock_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        exclusive(path),
        pytest.raises(WorkError, match="another process"),
        exclusive(path, patience=0.0),
    ):
        pass
    with exclusive(path, patience=0.0):
        pass


def test_a_lock_ends_with_an_error_in_its_block(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyError), exclusive(path):
        raise KeyError
    with exclusive(path, patience=0.0):
        pass


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="can't be written"), exclusive(tmp_path / "no" / "lock"):
        pass
