"""What made a result: the commit, and the versions of what computed it."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

VERSIONS = ("flwr", "torch", "numpy", "scipy", "av", "opencv-python-headless", "facenet-pytorch")


def code_version() -> str | None:
    """The commit of the working tree this runs from, `+` added if it was changed; None outside."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Of Python, Mien and what decides its figures."""
    names = {name: importlib.metadata.version(name) for name in ("mien", *VERSIONS)}
    return {"python": platform.python_version(), **names}
