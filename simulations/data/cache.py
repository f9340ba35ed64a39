"""Clip features on disk, so that a clip is decoded once.

One safetensors file per clip, named by SHA-256 over what determines its content: the clip's bytes,
the feature specification, which frames were taken and the versions of the libraries.  A file that
is not exactly what was written counts as absent.  That a clip shows no face is kept too: to find
out takes as long as to extract it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.files import private_folder, write_atomically
from common.video.extract import ClipFeatures

_FACTS: Final = ("decoded", "with_face", "several_faces", "spec")
_NO_FACE: Final = b'{"reason": "no_face"}\n'


@dataclass(frozen=True, eq=False)
class StoredClip:
    """Features of one clip and which frames they are of.

    Attributes:
        clip: the features.
        numbers: (with_face,) int32, number of each feature's frame in the file, rising.
    """

    clip: ClipFeatures
    numbers: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        if self.numbers.shape != (self.clip.with_face,) or self.numbers.dtype != np.int32:
            raise ValueError("frame numbers are not one int32 per feature")


class FeatureCache:
    """Features by key, in `folder`, which is made when the first features are stored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where the features of `key` are or would be."""
        return self.folder / f"{key}.safetensors"

    def get(self, key: str) -> StoredClip | None:
        """The stored features; None where there are none or the file is damaged."""
        path = self.path(key)
        if not path.is_file():
            return None
        try:
            return _read(path)
        except (SafetensorError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, stored: StoredClip) -> None:
        """Store features, wholly or not at all.

        Raises:
            OSError: the folder is full or not writable.
        """
        private_folder(self.folder)
        facts = {name: getattr(stored.clip, name) for name in _FACTS}
        numbers = stored.numbers.tolist()
        digest = _digest(stored.clip, numbers)
        # One entry: safetensors writes several in random order, and equal clips not as equal files.
        metadata = {"clip": json.dumps({**facts, "numbers": numbers, "sha256": digest})}
        content = save({"features": np.ascontiguousarray(stored.clip.features)}, metadata)
        write_atomically(self.path(key), content)

    def has_no_face(self, key: str) -> bool:
        """Whether the clip was looked at and shows no face."""
        try:
            return self._faceless(key).read_bytes() == _NO_FACE
        except OSError:
            return False

    def put_no_face(self, key: str) -> None:
        """Remember that the clip shows no face.

        Raises:
            OSError: the folder is full or not writable.
        """
        private_folder(self.folder)
        write_atomically(self._faceless(key), _NO_FACE)

    def _faceless(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def feature_key(
    path: Path,
    spec: str,
    *,
    every: int,
    max_frames: int | None,
    software: Mapping[str, str],
) -> str:
    """Key of a clip's features, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    made_by = json.dumps([content, spec, every, max_frames, sorted(software.items())])
    return hashlib.sha256(made_by.encode()).hexdigest()


def _read(path: Path) -> StoredClip:
    with safe_open(path, framework="numpy") as file:
        facts = json.loads((file.metadata() or {})["clip"])
        features = file.get_tensor("features")
    digest, numbers = facts.pop("sha256"), facts.pop("numbers")
    clip = ClipFeatures(features, **facts)
    if digest != _digest(clip, numbers):
        raise ValueError("the features are not those that were written")
    return StoredClip(clip, np.asarray(numbers, dtype=np.int32))


def _digest(clip: ClipFeatures, numbers: list[int]) -> str:
    facts = json.dumps([*(getattr(clip, name) for name in _FACTS), numbers])
    return hashlib.sha256(clip.features.tobytes() + facts.encode()).hexdigest()
