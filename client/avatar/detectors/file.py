"""Trained detectors as files: safetensors, with JSON in their metadata; nothing in them is code."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from client.avatar.detectors import concat, labels, personal, siamese
from client.avatar.detectors.interface import Detector, MadeFor
from common.errors import UsageError, WorkError
from common.files import write_atomically

FORMAT: Final = 1
_KEY: Final = "detector"
_READABLE: Final = 0o644
_FIELDS: Final = {"format", "name", "threshold", "face", "avatar", "about"}
Arrays = Mapping[str, npt.NDArray[np.float32]]

_MAKERS: Final[Mapping[str, Callable[[Arrays, float, MadeFor], Detector]]] = {
    labels.NAME: lambda arrays, threshold, made_for: labels.Labels(made_for),
    siamese.NAME: siamese.from_arrays,
    concat.NAME: concat.from_arrays,
    personal.NAME: personal.from_arrays,
}
NAMES: Final = tuple(_MAKERS)
"""All kinds of detectors, from the simplest on."""


def save_detector(path: Path, detector: Detector, about: Mapping[str, Any] | None = None) -> None:
    """Write a detector, wholly or not at all.

    Args:
        path: the new file.
        detector: any of `NAMES`.
        about: JSON values for whoever reads it: the pairs it was trained on, whether they are
            synthetic, figures.

    Raises:
        UsageError: the file can't be written there.
        ValueError: `about` is no JSON.
    """
    told = {
        "format": FORMAT,
        "name": detector.name,
        "threshold": detector.threshold,
        "face": detector.made_for.face,
        "avatar": detector.made_for.avatar,
        "about": dict(about or {}),
    }
    arrays = {
        name: np.ascontiguousarray(array, np.float32) for name, array in detector.arrays().items()
    }
    content = save(arrays, {_KEY: json.dumps(told, sort_keys=True, allow_nan=False)})
    try:
        write_atomically(path, content, mode=_READABLE)
    except OSError as error:
        raise UsageError(f"{path}: can't be written there ({error.strerror})") from error


def load_detector(path: Path) -> Detector:
    """Read what `save_detector` wrote.

    Raises:
        WorkError: the file is missing, damaged or no detector.
    """
    return read_detector(path)[0]


def read_detector(path: Path) -> tuple[Detector, dict[str, Any]]:
    """As `load_detector`, and what is told about the detector."""
    try:
        with safe_open(path, framework="numpy") as file:
            told = json.loads((file.metadata() or {})[_KEY])
            arrays = {name: _array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        return _made(told, arrays), dict(told["about"])
    except FileNotFoundError as error:
        raise WorkError(f"{path}: there is no such file; check the detector's path") from error
    except (OSError, SafetensorError, struct.error, KeyError, ValueError, TypeError) as error:
        raise WorkError(
            f"{path}: this is no readable detector ({error}); train it again"
        ) from error
    except (UsageError, RecursionError) as error:
        raise WorkError(f"{path}: {error}") from error


def _array(found: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if found.dtype != np.float32:
        raise ValueError(f"an array is {found.dtype}, expected float32")
    return found


def _made(told: Any, arrays: Arrays) -> Detector:
    if not isinstance(told, dict) or set(told) != _FIELDS or told["format"] != FORMAT:
        raise ValueError("it is of another format")
    threshold = float(told["threshold"])
    if not math.isfinite(threshold):
        raise ValueError(f"its threshold is {threshold}")
    if told["name"] not in _MAKERS:
        raise ValueError(f"its kind is {told['name']!r}, known are {', '.join(NAMES)}")
    detector = _MAKERS[told["name"]](
        arrays, threshold, MadeFor(str(told["face"]), str(told["avatar"]))
    )
    if set(detector.arrays()) != set(arrays):
        raise ValueError("it holds arrays that belong to no detector of its kind")
    return detector
