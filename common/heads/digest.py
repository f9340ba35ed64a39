"""SHA-256 of a head's values: what sessions, ledgers and a server's memory call "the head"."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt


def digest_of(arrays: Mapping[str, npt.NDArray[np.floating]]) -> str:
    """Hex SHA-256 of arrays as float32, by their names in order.

    Equal values have one digest: 0.0 and -0.0 are told apart by their bytes alone, and updates of
    two such heads would be the same. Values that differ by ever so little have another digest.

    Args:
        arrays: of any shapes, by name.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        canonical = np.asarray(arrays[name], dtype="<f4") + np.float32(0.0)
        content = np.ascontiguousarray(canonical, dtype="<f4").tobytes()
        digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()
