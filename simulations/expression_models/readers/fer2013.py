"""FER2013 as one CSV file: `emotion,pixels,Usage`, grey faces of 48 x 48 pixels.

Goodfellow et al., ICONIP 2013.  The parts are as published: PublicTest is for validation,
PrivateTest for the test.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from common.errors import UsageError
from simulations.expression_models.faces import FaceSet, FaceSplits, ImageArray

CLASSES: Final = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
SIDE: Final = 48
_PARTS: Final = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_COLUMNS: Final = ("emotion", "pixels", "Usage")
_LONGEST_FIELD: Final = 1 << 20


def open_fer2013(path: Path) -> FaceSplits:
    """FER2013; rows whose pixels are no 48 x 48 levels are left out and counted.

    Raises:
        UsageError: the file can't be read, its columns, labels or parts are others, or a part is
            empty.
    """
    faces: dict[str, list[npt.NDArray[np.uint8]]] = {part: [] for part in _PARTS.values()}
    labels: dict[str, list[int]] = {part: [] for part in _PARTS.values()}
    damaged = 0
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for part, label, pixels in _faces(path, file):
                damaged += pixels is None
                if pixels is not None:
                    faces[part].append(pixels)
                    labels[part].append(label)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: can't be read as CSV ({type(error).__name__})") from error
    train, validation, test = (
        _face_set(path, part, faces[part], labels[part]) for part in _PARTS.values()
    )
    left_out = {"damaged rows": damaged} if damaged else {}
    words = "PublicTest, as published"
    return FaceSplits("FER2013", train, validation, test, words, left_out)


def _faces(
    path: Path, file: Iterator[str]
) -> Iterator[tuple[str, int, npt.NDArray[np.uint8] | None]]:
    csv.field_size_limit(_LONGEST_FIELD)
    rows = csv.reader(file)
    header = [name.strip() for name in next(rows, [])]
    if not set(_COLUMNS) <= set(header):
        raise UsageError(
            f"{path}: has the columns {', '.join(header)[:80]!r}, expected {', '.join(_COLUMNS)}"
        )
    places = [header.index(name) for name in _COLUMNS]
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise UsageError(f"{path}: row {number} has {len(row)} fields, expected {len(header)}")
        emotion, pixels, usage = (row[place].strip() for place in places)
        if emotion not in {str(label) for label in range(len(CLASSES))} or usage not in _PARTS:
            raise UsageError(
                f"{path}: row {number} has emotion {emotion[:20]!r} and Usage {usage[:20]!r}, "
                f"expected 0 to 6 and one of {', '.join(_PARTS)}"
            )
        yield _PARTS[usage], int(emotion), _pixels(pixels)


def _pixels(text: str) -> npt.NDArray[np.uint8] | None:
    """(48, 48) levels; None where they are others."""
    words = text.split()
    if len(words) != SIDE * SIDE or not all(word.isdecimal() for word in words):
        return None
    levels = np.array(words, dtype=np.int64)
    return levels.astype(np.uint8).reshape(SIDE, SIDE) if int(levels.max()) < 256 else None


def _face_set(
    path: Path, part: str, faces: list[npt.NDArray[np.uint8]], labels: list[int]
) -> FaceSet:
    if not faces:
        raise UsageError(f"{path}: has no faces for {part}")
    source = ImageArray(np.stack(faces), f"{part} row")
    return FaceSet(f"FER2013 {part}", CLASSES, np.array(labels, dtype=np.int64), source)
