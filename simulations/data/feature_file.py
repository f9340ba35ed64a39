"""Features as a file for `mien simulate --features` and for other programs: Parquet or CSV.

Parquet holds one row per frame (clip, user, expression, frame, features), or pooled one row per
clip; what made the features is JSON under the key `mien` of the file's metadata.  CSV holds pooled
clips, and the same facts in the columns `mien_...` of each row.

The same clips give the same bytes.  Clips are written one after the other, so memory does not grow
with their number, and the file appears when it is complete.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from common.files import sync
from simulations.data.processes import is_alive

METADATA_KEY: Final = "mien"
FORMAT: Final = 1
NO_POOLING: Final = "none"
POOLINGS: Final = (NO_POOLING, "max", "mean")
PARQUET: Final = ".parquet"
CSV: Final = ".csv"
SPEC_COLUMN: Final = "mien_spec"
POOLING_COLUMN: Final = "mien_pooling"
ABOUT_COLUMN: Final = "mien_about"
ABOUT_COLUMNS: Final = (SPEC_COLUMN, POOLING_COLUMN, ABOUT_COLUMN)
_ROWS_AT_ONCE: Final = 4096

Floats = npt.NDArray[np.float32]


class ClipRows(NamedTuple):
    """One clip of a feature file.

    `features` is (frames, dimension) float32, `numbers` (frames,) int32 the frames' numbers in
    the video.
    """

    clip: str
    user: str
    label: int
    numbers: npt.NDArray[np.int32]
    features: Floats


@dataclass(frozen=True, kw_only=True)
class About:
    """What a feature file says of itself.

    Attributes:
        spec: what made the features, see `feature_spec`.
        pooling: one of `POOLINGS`.
        every: every k-th frame was looked at.
        max_frames: most frames that were looked at, or None.
        clips: number of clips.
        left_out: number of clips that are not in it, by reason.
        several_faces: clips with frames that show several faces.
        columns: names of the features; empty where they have none.
        software: what decides the features beside `spec`: engine, weights, versions.
    """

    spec: str
    pooling: str
    every: int
    max_frames: int | None
    clips: int
    left_out: Mapping[str, int]
    several_faces: int
    columns: tuple[str, ...]
    software: Mapping[str, str]

    def to_json(self) -> str:
        """One line, keys sorted."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)


def check_target(path: Path, pooling: str) -> None:
    """Refuse a target before hours of work go into it, and make its folder.

    Raises:
        UsageError: the file's kind is unknown or does not go with the pooling, or it cannot be
            written.
    """
    if path.suffix.lower() not in (PARQUET, CSV):
        raise UsageError(f"{path}: features are written as .parquet or .csv; name one of these")
    if pooling not in POOLINGS:
        raise UsageError(f"pooling is {pooling!r}, expected one of {', '.join(POOLINGS)}")
    if path.suffix.lower() == CSV and pooling == NO_POOLING:
        raise UsageError(
            f"{path}: a CSV file holds one row per clip; choose --pooling max or mean, or write "
            "all frames to a .parquet file"
        )
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(f"{path}: can't be written to ({error.strerror})") from error


def write_features(path: Path, clips: Iterable[ClipRows], about: About) -> int:
    """Write clips in the order given, wholly or not at all; returns the number of rows.

    Raises:
        WorkError: the disk is full or not writable.
    """
    write: Callable[[Path, Iterator[ClipRows], About], int]
    write = _write_csv if path.suffix.lower() == CSV else _write_parquet
    pooled = (clip if about.pooling == NO_POOLING else _pooled(clip, about) for clip in clips)
    try:
        with _replacing(path) as temporary:
            return write(temporary, pooled, about)
    except OSError as error:
        raise WorkError(f"{path}: can't be written ({error.strerror or error})") from error


def _pooled(clip: ClipRows, about: About) -> ClipRows:
    if about.pooling == "max":
        row = clip.features.max(axis=0)
    else:
        row = clip.features.mean(axis=0, dtype=np.float64).astype(np.float32)
    return clip._replace(features=row[None], numbers=clip.numbers[:1])


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A new file that takes the place of `path` when the block ends without an error."""
    for left in path.parent.glob(f".{path.name}.*.part"):
        if _is_abandoned(left):
            left.unlink(missing_ok=True)
    prefix = f".{path.name}.{os.getpid()}-"
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def _is_abandoned(part: Path) -> bool:
    """Whether the run that wrote it was killed; another run may be writing the same file."""
    owner = part.name.removesuffix(".part").rpartition(".")[2].partition("-")[0]
    return not (owner.isdecimal() and is_alive(int(owner)))


def _write_parquet(path: Path, clips: Iterator[ClipRows], about: About) -> int:
    import pyarrow.parquet

    rows = 0
    writer: Any = None
    try:
        for batch in _batches(clips):
            table = _table(batch, with_frame=about.pooling == NO_POOLING)
            if writer is None:
                metadata = {METADATA_KEY: about.to_json()}
                writer = pyarrow.parquet.ParquetWriter(
                    path,
                    table.schema.with_metadata(metadata),
                    version="2.6",
                    compression="zstd",
                    compression_level=3,
                    use_dictionary=["clip", "user", "expression"],
                    write_page_checksum=True,
                )
            writer.write_table(table, row_group_size=len(table))
            rows += len(table)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _batches(clips: Iterator[ClipRows]) -> Iterator[list[ClipRows]]:
    batch: list[ClipRows] = []
    for clip in clips:
        batch.append(clip)
        if sum(len(each.features) for each in batch) >= _ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _table(clips: list[ClipRows], *, with_frame: bool) -> Any:
    import pyarrow as pa

    counts = [len(clip.features) for clip in clips]
    features = np.concatenate([clip.features for clip in clips])
    columns = {
        "clip": _repeated([clip.clip for clip in clips], counts),
        "user": _repeated([clip.user for clip in clips], counts),
        "expression": _repeated([EXPRESSIONS[clip.label] for clip in clips], counts),
    }
    if with_frame:
        columns["frame"] = pa.array(np.concatenate([clip.numbers for clip in clips]), pa.int32())
    flat = pa.array(features.ravel(), pa.float32())
    columns["features"] = pa.FixedSizeListArray.from_arrays(flat, features.shape[1])
    return pa.table(columns)


def _repeated(texts: list[str], counts: list[int]) -> Any:
    import pyarrow as pa

    each = [text for text, count in zip(texts, counts, strict=True) for _ in range(count)]
    return pa.array(each, pa.string())


def _write_csv(path: Path, clips: Iterator[ClipRows], about: About) -> int:
    rows = 0
    constant = (about.spec, about.pooling, about.to_json())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for clip in clips:
            if not rows:
                names = about.columns or _names(clip.features.shape[1])
                writer.writerow(("clip", "user", "expression", *ABOUT_COLUMNS, *names))
            # str of a float32 is the shortest text that reads back as the same number.
            values = (str(value) for value in clip.features[0])
            writer.writerow((clip.clip, clip.user, EXPRESSIONS[clip.label], *constant, *values))
            rows += 1
    return rows


def _names(dimension: int) -> list[str]:
    return [f"f{index:04d}" for index in range(dimension)]
