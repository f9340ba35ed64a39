"""What several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest


def shared_data() -> Path | None:
    """The folder of real clips and tables beside the repository, where there is one."""
    folder = Path(__file__).resolve().parents[1] / "../shared/data"
    return folder.resolve() if folder.is_dir() else None


def shared_video(name: str) -> Path:
    """A real clip; skips the test, with the reason, where it is absent."""
    data = shared_data()
    if data is None or not (data / "video" / name).is_file():
        pytest.skip(f"needs the real clip ../shared/data/video/{name}")
    return data / "video" / name
