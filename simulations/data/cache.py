"""Clip features on disk, so that a clip is decoded once.

One safetensors file per clip, named by SHA-256 over what determines its content: the clip's bytes,
the feature specification and which frames were taken.  A file that is not exactly what was
written counts as absent.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.files import private_folder, write_atomically
from common.video.extract import ClipFeatures

_FACTS: Final = ("decoded", "with_face", "several_faces", "spec")


class FeatureCache:
    """Features by key; the folder is made when the first features are stored."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, key: str) -> Path:
        """Where the features of `key` are or would be."""
        return self._folder / f"{key}.safetensors"

    def get(self, key: str) -> ClipFeatures | None:
        """The stored features; None where there are none or the file is damaged."""
        path = self.path(key)
        if not path.is_file():
            return None
        try:
            return _read(path)
        except (SafetensorError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, clip: ClipFeatures) -> None:
        """Store features, wholly or not at all.

        Raises:
            OSError: the folder is full or not writable.
        """
        private_folder(self._folder)
        facts = {name: getattr(clip, name) for name in _FACTS}
        # One entry: safetensors writes several in random order, and equal clips not as equal files.
        metadata = {"clip": json.dumps({**facts, "sha256": _digest(clip)})}
        content = save({"features": np.ascontiguousarray(clip.features)}, metadata)
        write_atomically(self.path(key), content)


def feature_key(path: Path, spec: str, *, every: int, max_frames: int | None) -> str:
    """Key of a clip's features, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    made_by = json.dumps([content, spec, every, max_frames])
    return hashlib.sha256(made_by.encode()).hexdigest()


def _read(path: Path) -> ClipFeatures:
    with safe_open(path, framework="numpy") as file:
        facts = json.loads((file.metadata() or {})["clip"])
        features = file.get_tensor("features")
    digest = facts.pop("sha256")
    clip = ClipFeatures(features, **facts)
    if digest != _digest(clip):
        raise ValueError("the features are not those that were written")
    return clip


def _digest(clip: ClipFeatures) -> str:
    facts = json.dumps([getattr(clip, name) for name in _FACTS])
    return hashlib.sha256(clip.features.tobytes() + facts.encode()).hexdigest()
