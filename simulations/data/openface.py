"""OpenFace's FeatureExtraction output (Baltrusaitis et al. 2018): action units as frame features.

One CSV file per clip, one row per frame and face.  A row counts where OpenFace says that it
succeeded with a confidence of at least `LEAST_CONFIDENCE`.  Of several faces in a file, the one
with the most such rows is the clip's.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from common.errors import UsageError
from common.video.decode import ClipError, Reason
from common.video.extract import ClipFeatures
from simulations.data.cache import StoredClip
from simulations.data.csv_table import bounded_lines
from simulations.data.extraction import Reader
from simulations.data.provenance import OPENFACE_SPEC
from simulations.data.unusable import Unusable

LEAST_CONFIDENCE: Final = 0.8
MOST_ROWS: Final = 200_000
_INTENSITIES: Final = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
_PRESENCES: Final = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)
COLUMNS: Final = (
    *(f"AU{number:02d}_r" for number in _INTENSITIES),
    *(f"AU{number:02d}_c" for number in _PRESENCES),
)
"""Features in their order: 17 intensities (0..5), then 18 presences (0 or 1)."""
MALFORMED: Final = "malformed"
MISSING_COLUMNS: Final = "missing_columns"
NO_USABLE_ROW: Final = "no_usable_row"
_LARGEST_INTENSITY: Final = 5.0


@dataclass(frozen=True)
class OpenFaceExtractor:
    """`Extractor` of OpenFace's CSV files: all their frames."""

    every: int = 1
    max_frames: int | None = None

    @property
    def spec(self) -> str:
        """Says that the rows come from OpenFace and by which rules they were taken."""
        return OPENFACE_SPEC

    @property
    def made_with(self) -> dict[str, str]:
        """OpenFace's files do not tell."""
        return {}

    def open(self) -> Reader:
        """Nothing has to be loaded."""
        return read_openface


class _Row(NamedTuple):
    frame: int
    face: int
    usable: bool
    values: tuple[float, ...]


def read_openface(path: Path) -> StoredClip:
    """Action units of one clip, (usable frames, 35) float32.

    Raises:
        ClipError: there is no such file, it cannot be read, or it has no row.
        Unusable: it is not OpenFace's output (says which row or column), or no row is usable.
    """
    if not path.is_file():
        raise ClipError(Reason.NOT_A_FILE if path.exists() else Reason.MISSING, path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(csv.reader(bounded_lines(path, file), strict=True)))
    except OSError as error:
        raise ClipError(Reason.UNREADABLE, path) from error
    except (UsageError, UnicodeDecodeError, csv.Error) as error:
        raise Unusable(MALFORMED, "it is no CSV text; run OpenFace again") from error
    return _clip(path, rows)


def _rows(lines: Iterator[list[str]]) -> Iterator[_Row]:
    header = [name.strip() for name in next(lines, [])]
    place = {name: index for index, name in enumerate(header)}
    missing = [name for name in ("frame", "confidence", "success", *COLUMNS) if name not in place]
    if missing:
        few = ", ".join(missing[:3]) + (" and more" if len(missing) > 3 else "")
        raise Unusable(
            MISSING_COLUMNS, f"it has no column {few}; run OpenFace's FeatureExtraction with -aus"
        )
    seen: set[tuple[int, int]] = set()
    for number, cells in enumerate(lines, start=2):
        if number > MOST_ROWS:
            raise Unusable(MALFORMED, f"it has more than {MOST_ROWS} rows; cut the video first")
        row = _row(number, cells, header, place)
        if (row.frame, row.face) in seen:
            raise Unusable(MALFORMED, f"row {number} repeats frame {row.frame}; run OpenFace again")
        seen.add((row.frame, row.face))
        yield row


def _row(number: int, cells: Sequence[str], header: Sequence[str], place: dict[str, int]) -> _Row:
    if len(cells) != len(header):
        raise Unusable(
            MALFORMED,
            f"row {number} has {len(cells)} cells, the header has {len(header)} (cut short?)",
        )
    try:
        frame = int(cells[place["frame"]])
        face = int(cells[place["face_id"]]) if "face_id" in place else 0
        success = float(cells[place["success"]]) == 1
        usable = success and float(cells[place["confidence"]]) >= LEAST_CONFIDENCE
        values = tuple(float(cells[place[name]]) for name in COLUMNS) if usable else ()
    except ValueError as error:
        raise Unusable(MALFORMED, f"row {number} holds what is no number ({error})") from error
    if not 0 <= frame < 2**31 or any(not 0 <= value <= _LARGEST_INTENSITY for value in values):
        raise Unusable(MALFORMED, f"row {number} holds a frame or action unit out of range (0..5)")
    return _Row(frame, face, usable, values)


def _clip(path: Path, rows: Sequence[_Row]) -> StoredClip:
    frames = {row.frame for row in rows}
    if not frames:
        raise ClipError(Reason.NO_FRAMES, path)
    counts = Counter(row.face for row in rows if row.usable)
    if not counts:
        raise Unusable(
            NO_USABLE_ROW,
            f"none of its {len(rows)} rows has success 1 and a confidence of at least "
            f"{LEAST_CONFIDENCE}; look at the video, or leave it out",
        )
    chosen = min(counts, key=lambda face: (-counts[face], face))
    own = sorted(row for row in rows if row.usable and row.face == chosen)
    shown = Counter(row.frame for row in rows if row.usable)
    several = sum(shown[row.frame] > 1 for row in own)
    features = np.array([row.values for row in own], dtype=np.float32)
    clip = ClipFeatures(features, len(frames), len(own), several, OPENFACE_SPEC)
    return StoredClip(clip, np.array([row.frame for row in own], dtype=np.int32))
