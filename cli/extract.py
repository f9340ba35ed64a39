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
_SECONDS_BETWEEN_LINES = 60.0

Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="Folder of videos, or a .zip archive of them. Folders and archives inside it are "
        "searched too; archives are not unpacked.",
    ),
]
Out = Annotated[
    str, typer.Option(help="File to write: .parquet, .csv, or a folder for features.parquet.")
]
Backbone = Annotated[
    str, typer.Option(help="Network that makes the features; by default mini-xception.")
]
Pooling = Annotated[
    str,
    typer.Option(help="none: a row per frame; max, mean: a row per clip. CSV needs one of these."),
]
Every = Annotated[int, typer.Option(help="Take every k-th frame.")]
MaxFrames = Annotated[
    int, typer.Option(help="Look at no more frames of a clip; 0 for all of them.")
]
Workers = Annotated[
    int,
    typer.Option(help="Processes; 0 takes one per core. The file does not depend on it."),
]
Engine = Annotated[
    str,
    typer.Option(
        help="What runs the backbone: openvino, onnxruntime or torch; auto takes the first "
        "of them that is installed."
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="float32, or bfloat16 (openvino only); auto takes bfloat16 where the CPU has it "
        "and the backbone's features hardly change."
    ),
]
TimeLimit = Annotated[
    float, typer.Option(help="Seconds after which a clip is given up and left out.")
]
Openface = Annotated[
    bool,
    typer.Option(
        "--openface",
        help="DATA holds OpenFace's CSV files (FeatureExtraction), one per clip, not videos: "
        "action units of rows with success 1 and confidence at least 0.8.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print what was done as JSON on standard output.")
]


def command(
    data: Data,
    out: Out,
    backbone: Backbone = "",
    pooling: Pooling = "none",
    every: Every = 1,
    max_frames: MaxFrames = 0,
    workers: Workers = 0,
    engine: Engine = "auto",
    precision: Precision = "auto",
    time_limit: TimeLimit = 1800.0,
    openface: Openface = False,
    json: Json = False,
) -> None:
    """Turn a data set of videos into a file of frame features for `mien simulate --features`.

    DATA is a folder of videos, or a .zip archive of them. Folders and archives inside it are
    searched too; archives are read without being unpacked.

    Every clip is decoded, the face is found and followed, and a backbone makes one feature per
    frame. What is done is kept in Mien's cache by the clip's content: after an interruption of any
    kind the same command goes on where it stopped, and gives the same bytes. Clips that cannot be
    used are left out, each with its reason. Of a clip with more than 2048 rows every second,
    fourth, ... frame is used, over its whole length; such clips are counted at the end.

    Two layouts are understood: RAVDESS as it is downloaded (names say everything), and folders
    `USER/EXPRESSION/` with videos of any name.

    **Examples:**

    `mien extract RAVDESS --out ravdess.parquet`, then `mien simulate --features ravdess.parquet`

    `mien extract RAVDESS --pooling max --out ravdess.csv`

    `mien extract --openface processed --out action-units.parquet`
    """
    started = time.monotonic()
    _check(workers, time_limit)
    if openface:
        given = {"backbone": backbone, "every": every != 1, "max-frames": max_frames}
        _check_openface(given | {"engine": engine != "auto", "precision": precision != "auto"})
        found, extractor, columns = _tables(data)
    else:
        columns = ()
        found, extractor = _videos(data, backbone, every, max_frames, engine, precision)
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
    _tell(done, round(time.monotonic() - started, 1), json=json)


def _tell(done: Exported, seconds: float, *, json: bool) -> None:
    if json:
        print_json(summary(done, seconds))
    else:
        _print(done, seconds)


def _check(workers: int, time_limit: float) -> None:
    if workers < 0:
        raise UsageError(f"workers is {workers}, expected 0 (one per core) or more")
    if not 0 < time_limit < float("inf"):
        raise UsageError(f"time-limit is {time_limit:g}, expected a number of seconds above 0")


def _check_openface(given: Mapping[str, object]) -> None:
    wrong = next((name for name, is_given in given.items() if is_given), None)
    if wrong:
        raise UsageError(f"--{wrong} is for videos; with --openface leave it out")


def _tables(data: Path) -> tuple[DataSet, Extractor, tuple[str, ...]]:
    from simulations.data.data_set import find_tables
    from simulations.data.openface import COLUMNS, OpenFaceExtractor

    return find_tables(data), OpenFaceExtractor(), COLUMNS


def _videos(
    data: Path, backbone: str, every: int, max_frames: int, engine: str, precision: str
) -> tuple[DataSet, Extractor]:
    from common.backbones.engines.choice import chosen_engine, chosen_precision
    from common.backbones.registry import DEFAULT_BACKBONE, backbone_record
    from common.video.decode import check_range
    from simulations.data.data_set import find_videos
    from simulations.data.features import VideoExtractor

    chosen_engine(engine)
    chosen_precision(precision)
    check_range(every, max_frames or None)
    id = backbone_record(backbone or DEFAULT_BACKBONE).id
    return find_videos(data), VideoExtractor(id, every, max_frames or None, engine, precision)


def _export(found: DataSet, extractor: Extractor, out: str, **options: Any) -> Exported:
    from common.paths import cache_folder
    from simulations.data.export import export_features, target_file

    cache = cache_folder() / "features"
    return export_features(found, extractor, target_file(out), cache=cache, **options)


@contextmanager
def _clip_bar() -> Iterator[Progress]:
    """Clips done, clips per second and time left on standard error; else a line a minute."""
    if not errors.is_terminal:
        yield _lines()
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


def _lines() -> Progress:
    """About once a minute a line on standard error, for logs."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            errors.print(f"features: {done}/{total} clips", highlight=False)

    return tell


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
        "thinned": list(done.thinned),
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
    several, thinned = len(done.several_faces), len(done.thinned)
    lines = [
        *(f"{name}: {_few([left.clip for left in clips])}" for name, clips in reasons.items()),
        f"{done.about.clips} clips, {done.rows} rows, features {done.about.spec}; "
        f"{made.extracted} clips extracted in {seconds} s, the others were in the cache.",
        f"Skipped: {skipped}." if skipped else "",
        f"Several faces in {several} clips, of which one each was used: {_few(done.several_faces)}"
        if several
        else "",
        f"Not every frame asked for in {thinned} clips, which are too long: {_few(done.thinned)}"
        if thinned
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
