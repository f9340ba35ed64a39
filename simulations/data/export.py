"""A data set's features in one file: extraction and feature file together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.errors import UsageError
from simulations.data.data_set import DataSet
from simulations.data.extraction import Extraction, Extractor, Progress, extract_all
from simulations.data.feature_file import About, ClipRows, check_target, write_features

DEFAULT_NAME: Final = "features.parquet"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        about: what the file says of itself.
        rows: number of its rows.
        several_faces: clips with frames that show several faces, of which one was used.
        thinned: clips too long for a row per frame that was asked for.
        extraction: what became of each clip.
    """

    path: Path
    about: About
    rows: int
    several_faces: tuple[str, ...]
    thinned: tuple[str, ...]
    extraction: Extraction


def target_file(out: str) -> Path:
    """The file that `out` names; a folder, or a name without an ending, gets one in it.

    Raises:
        UsageError: it is a file without an ending.
    """
    path = Path(out)
    if path.is_file() and not path.suffix:
        raise UsageError(
            f"{path}: is a file, but has no ending; name a folder, or a file that ends in "
            ".parquet or .csv"
        )
    return path / DEFAULT_NAME if path.is_dir() or not path.suffix else path


def export_features(
    data: DataSet,
    extractor: Extractor,
    path: Path,
    *,
    pooling: str,
    cache: Path,
    workers: int = 1,
    time_limit: float | None = None,
    columns: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Exported:
    """Extract what is not in the cache and write all of it, sorted by clip.

    Args:
        data: the clips.
        extractor: makes the features.
        path: a `.parquet` or `.csv` file.
        pooling: "none" for all frames (Parquet only), "max" or "mean" for one row per clip.
        cache: folder of the cache.
        workers: processes; the file does not depend on it.
        time_limit: seconds a clip may take.
        columns: names of the features, if they have any.
        progress: called after each clip with (clips done, clips in all).

    Raises:
        UsageError: the target or an argument is wrong.
        WorkError: no clip can be used, or disk or processes fail.
    """
    check_target(path, pooling)
    made = extract_all(
        data, extractor, cache=cache, workers=workers, time_limit=time_limit, progress=progress
    )
    several = tuple(clip.name for clip, done in made.done if done.several_faces)
    about = About(
        spec=made.spec,
        pooling=pooling,
        every=extractor.every,
        max_frames=extractor.max_frames,
        clips=len(made.done),
        left_out=dict(sorted(Counter(left.reason for left in made.left_out).items())),
        several_faces=len(several),
        columns=columns,
        software=made.software,
    )
    rows = write_features(path, _rows(made), about)
    thinned = tuple(clip.name for clip, done in made.done if done.thinned)
    return Exported(path, about, rows, several, thinned, made)


def _rows(made: Extraction) -> Iterator[ClipRows]:
    for clip, done in made.done:
        stored = made.features(done)
        yield ClipRows(clip.name, clip.user, clip.label, stored.numbers, stored.clip.features)
