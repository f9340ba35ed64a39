"""Made-up weight files with their records."""

from __future__ import annotations

import hashlib
from pathlib import Path

from common.weights.files import WeightsFile

SOURCE = "https://raw.githubusercontent.com/owner/name/0123abcd/models/sub/b0.onnx"


def recorded(content: bytes, **more: object) -> WeightsFile:
    """The record of a file with this content, by its Git id."""
    git = hashlib.sha1(b"blob " + str(len(content)).encode() + b"\0" + content).hexdigest()
    known = {"name": "b0.onnx", "source": SOURCE, "licence": "MIT", "git_blob_sha1": git}
    return WeightsFile(**(known | more))  # type: ignore[arg-type]


def listing(folder: Path) -> list[str]:
    """Names of all files in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())
