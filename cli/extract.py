"""`mien extract`: a data set of videos as a file of features."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import errors, output, print_json
from common.errors import UsageError

if TYPE_CHECKING:
    from simulations.data.data_set import DataSet
    from simulations.data.export import Exported
    from simulations.data.extraction import Extractor, Progress
    from simulations.data.unusable import LeftOut

NAMED_AT_MOST = 5


def command(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Folder of videos, or a .zip archive of them. Folders and archives inside it are "
            "searched too; archives are not unpacked.",
        ),
    ],
    out: Annotated[
        str, typer.Option(help="File to write: .parquet, .csv, or a folder for features.parquet.")
    ],
    backbone: Annotated[
        str, typer.Option(help="Network that makes the features; by default mini-xception.")
    ] = "",
    pooling: Annotated[
        str,
        typer.Option(
            help="none: a row per frame; max, mean: a row per clip. CSV needs one of these."
        ),
    ] = "none",
    every: Annotated[int, typer.Option(help="Take every k-th frame.")] = 1,
    max_frames: Annotated[
        int, typer.Option(help="Look at no more frames of a clip; 0 for all of them.")
    ] = 0,
    workers: Annotated[
        int,
        typer.Option(help="Processes; 0 takes one per core. The file does not depend on it."),
    ] = 0,
    time_limit: Annotated[
        float, typer.Option(help="Seconds after which a clip is given up and left out.")
    ] = 1800.0,
    openface: Annotated[
        bool,
        typer.Option(
            "--openface",
            help="DATA holds OpenFace's CSV files (FeatureExtraction), one per clip, not videos: "
            "action units of rows with success 1 and confidence at least 0.8.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print what was done as JSON on standard output.")
    ] = False,
) -> None:
    """Turn a data set of videos into a file of frame features for `mien simulate --features`.

    DATA is a folder of videos, or a .zip archive of them. Folders and archives inside it are
    searched too; archives are read without being unpacked.

    Every clip is decoded, the face is found and followed, and a backbone makes one feature per
    frame. What is done is kept in Mien's cache by the clip's content: after an interruption of any
    kind the same command goes on where it stopped, and gives the same bytes. Clips that cannot be
    used are left out, each with its reason.

    Two layouts are understood: RAVDESS as it is downloaded (names say everything), and folders
    `USER/EXPRESSION/` with videos of any name.

    **Examples:**

    `mien extract RAVDESS --out ravdess.parquet`, then `mien simulate --features ravdess.parquet`

    `mien extract RAVDESS --pooling max --out ravdess.csv`

    `mien extract --openface processed --out action-units.parquet`
    """
    started = time.monotonic()
    _check(workers, time_limit)
    found, extractor, columns = _source(data, backbone, every, max_frames, openface)
    with _clip_bar() as progress:
        done = _export(
            found,
            extractor,
            out,
            pooling=pooling,
            columns=columns,
            workers=workers or os.cpu_count() or 1,
            time_limit=time_limit,
            progress=progress,
        )
    seconds = round(time.monotonic() - started, 1)
    if json:
        print_json(summary(done, seconds))
    else:
        _print(done, seconds)


def _check(workers: int, time_limit: float) -> None:
    if workers < 0:
        raise UsageError(f"workers is {workers}, expected 0 (one per core) or more")
    if not 0 < time_limit < float("inf"):
        raise UsageError(f"time-limit is {time_limit:g}, expected a number of seconds above 0")


def _source(
    data: Path, backbone: str, every: int, max_frames: int, openface: bool
) -> tuple[DataSet, Extractor, tuple[str, ...]]:
    from simulations.data.data_set import find_tables, find_videos

    if openface:
        from simulations.data.openface import COLUMNS, OpenFaceExtractor

        given = {"backbone": backbone, "every": every != 1, "max-frames": max_frames}
        wrong = next((name for name, is_given in given.items() if is_given), None)
        if wrong:
            raise UsageError(f"--{wrong} is for videos; with --openface leave it out")
        return find_tables(data), OpenFaceExtractor(), COLUMNS
    from common.backbones.registry import DEFAULT_BACKBONE, backbone_record
    from common.video.decode import check_range
    from simulations.data.features import VideoExtractor

    check_range(every, max_frames or None)
    id = backbone_record(backbone or DEFAULT_BACKBONE).id
    return find_videos(data), VideoExtractor(id, every, max_frames or None), ()


def _export(found: DataSet, extractor: Extractor, out: str, **options: Any) -> Exported:
    from common.paths import cache_folder
    from simulations.data.export import export_features, target_file

    cache = cache_folder() / "features"
    return export_features(found, extractor, target_file(out), cache=cache, **options)


@contextmanager
def _clip_bar() -> Iterator[Progress | None]:
    """Clips done, clips per second and time left on standard error, where that is a terminal."""
    if not errors.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns: Sequence[Any] = (
        TextColumn("features"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} clips"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=errors) as bars:
        task = bars.add_task("features", total=None, rate="")

        def show(done: int, total: int) -> None:
            rate = done / max(time.monotonic() - started, 1e-3)
            bars.update(task, completed=done, total=total, rate=f"{rate:.1f} clips/s")

        yield show


def summary(done: Exported, seconds: float) -> dict[str, Any]:
    """What was done, for `--json`."""
    made = done.extraction
    return {
        "out": str(done.path),
        "spec": done.about.spec,
        "pooling": done.about.pooling,
        "clips": done.about.clips,
        "rows": done.rows,
        "extracted": made.extracted,
        "from_cache": done.about.clips - made.extracted,
        "left_out": [left._asdict() for left in made.left_out],
        "several_faces": list(done.several_faces),
        "skipped": dict(made.data.skipped),
        "software": dict(done.about.software),
        "seconds": seconds,
    }


def _print(done: Exported, seconds: float) -> None:
    made = done.extraction
    reasons = _by_reason(made.left_out)
    if reasons:
        output.print(_left_out_table(reasons))
    skipped = ", ".join(f"{count} {kind}" for kind, count in made.data.skipped.items() if count)
    several = len(done.several_faces)
    lines = [
        *(f"{name}: {_few([left.clip for left in clips])}" for name, clips in reasons.items()),
        f"{done.about.clips} clips, {done.rows} rows, features {done.about.spec}; "
        f"{made.extracted} clips extracted in {seconds} s, the others were in the cache.",
        f"Skipped: {skipped}." if skipped else "",
        f"Several faces in {several} clips, of which one each was used: {_few(done.several_faces)}"
        if several
        else "",
        f"Features: {done.path}",
    ]
    for line in filter(None, lines):
        output.print(line, highlight=False, markup=False, soft_wrap=True)


def _few(clips: Sequence[str]) -> str:
    return ", ".join(clips[:NAMED_AT_MOST]) + (", ..." if len(clips) > NAMED_AT_MOST else "")


def _by_reason(left_out: Sequence[LeftOut]) -> dict[str, list[LeftOut]]:
    reasons: dict[str, list[LeftOut]] = {}
    for left in sorted(left_out, key=lambda left: left.reason):
        reasons.setdefault(left.reason, []).append(left)
    return reasons


def _left_out_table(reasons: Mapping[str, Sequence[LeftOut]]) -> Any:
    """One row per reason: how many clips, and the first one's sentence."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    total = sum(len(clips) for clips in reasons.values())
    table = Table(title=f"Left out: {total}", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("reason", no_wrap=True)
    table.add_column("clips", justify="right")
    table.add_column("why")
    for reason, clips in reasons.items():
        table.add_row(reason, str(len(clips)), escape(clips[0].detail))
    return table
