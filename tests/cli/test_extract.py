"""`mien extract`: from a folder to a feature file, on synthetic clips and OpenFace tables."""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli import extract as cli_extract
from common.backbones.registry import MINI_XCEPTION, feature_spec
from simulations.actors.plan import ClipPlan
from simulations.actors.writer import write_actors
from simulations.data import extraction, features
from simulations.data.table import read_table
from tests.cli.command import ROOT, Command
from tests.simulations.data.fakes import CountedVideos
from tests.simulations.data.test_openface import row, table

PLAN = ClipPlan(statements=(1,), intensities=(1,), repetitions=(1,), frames=3)
SPEC = feature_spec(MINI_XCEPTION)


@pytest.fixture(scope="module")
def actors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 synthetic clips of two actors, and one file that is no video."""
    folder = tmp_path_factory.mktemp("actors")
    write_actors(folder, actors=2, seed=3, plan=PLAN)
    (folder / "Actor_01" / "01-01-01-01-02-02-01.mp4").write_text("no video")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictable tools, handed to the worker processes by name."""
    monkeypatch.setattr(features, "VideoExtractor", CountedVideos)


def test_help_teaches(mien: Command) -> None:
    done = mien("extract", "--help")
    assert done.code == 0
    for text in ("--openface", "--pooling", "USER/EXPRESSION", "--workers", "mien simulate"):
        assert text in done.out


@pytest.mark.usefixtures("fakes")
def test_videos_to_parquet_and_again_from_the_cache(
    mien: Command, actors: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "features.parquet"
    done = mien("extract", str(actors), "--out", str(out), "--workers", "2", "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert (facts["clips"], facts["rows"], facts["extracted"]) == (16, 48, 16)
    assert (facts["spec"], facts["pooling"], facts["out"]) == (SPEC, "none", str(out))
    assert [(left["clip"], left["reason"]) for left in facts["left_out"]] == [
        ("Actor_01/01-01-01-01-02-02-01.mp4", "not_a_video")
    ]
    assert "av" in facts["software"]
    first = out.read_bytes()
    folder = tmp_path / "folder"
    folder.mkdir()
    done = mien("extract", str(actors), "--out", str(folder), "--workers", "1", "--json")
    facts = json.loads(done.out)
    assert (facts["extracted"], facts["from_cache"]) == (0, 16)
    assert (folder / "features.parquet").read_bytes() == first
    found = read_table(out)
    assert found.clips.lengths.tolist() == [3] * 16
    assert found.clips.user_names() == ("actor-01", "actor-02")


@pytest.mark.usefixtures("fakes")
def test_a_table_for_people(mien: Command, actors: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.csv"
    done = mien("extract", str(actors), "--out", str(out), "--pooling", "mean", "--workers", "1")
    assert done.code == 0, done.err
    assert "Left out: 1" in done.out
    assert "not_a_video" in done.out
    assert "Actor_01/01-01-01-01-02-02-01.mp4" in done.out
    assert f"16 clips, 16 rows, features {SPEC}; 16 clips extracted" in done.out
    assert "Skipped: 1 other files." in done.out
    assert read_table(out).features == f"{SPEC}/mean"


@pytest.mark.usefixtures("fakes")
def test_without_a_terminal_a_line_is_told_each_minute(
    mien: Command, actors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count(0, 25)  # each clip takes 25 seconds
    clock = SimpleNamespace(monotonic=lambda: float(next(ticks)))
    monkeypatch.setattr(cli_extract, "time", clock)
    out = tmp_path / "f.parquet"
    done = mien("extract", str(actors), "--out", str(out), "--workers", "1", "--json")
    assert done.code == 0
    lines = [f"features: {clips}/17 clips" for clips in (3, 6, 9, 12, 15)]
    assert done.err.splitlines() == lines


@pytest.mark.usefixtures("fakes")
def test_clips_that_were_thinned_are_counted(
    mien: Command, actors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "_is_thinned", lambda stored, every: True)
    command = ("extract", str(actors), "--out", str(tmp_path / "f.parquet"), "--workers", "1")
    monkeypatch.setattr(extraction, "run_in_processes", _in_this_process)
    assert "Not every frame asked for in 16 clips, which are too long: 01-01" in mien(*command).out
    assert len(json.loads(mien(*command, "--json").out)["thinned"]) == 16
    help = mien("extract", "--help").out
    assert "more than 2048 rows" in " ".join(help.replace("│", " ").split())


def _in_this_process(
    work: Callable[[object], object], tasks: Iterable[object], **_: object
) -> Iterator[tuple[object, object]]:
    return ((task, work(task)) for task in tasks)


@pytest.mark.usefixtures("fakes")
def test_archives_give_the_same_bytes(mien: Command, actors: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "Video_Speech.zip", "w") as archive:
        for path in sorted(actors.rglob("*.mp4")):
            archive.write(path, path.relative_to(actors))
    for source in (actors, tmp_path / "Video_Speech.zip"):
        out = str(tmp_path / f"{source.stem}.parquet")
        assert mien("extract", str(source), "--out", out, "--workers", "1").code == 0
    one, two = (tmp_path / f"{name}.parquet" for name in (actors.stem, "Video_Speech"))
    assert one.read_bytes() == two.read_bytes()


def test_openface_tables(mien: Command, tmp_path: Path) -> None:
    for user, level in (("anna", 0.5), ("ben", 1.5)):
        for index, expression in enumerate(("happy", "sad")):
            folder = tmp_path / "processed" / user / expression
            folder.mkdir(parents=True)
            table(folder, [row(frame, level + index) for frame in range(1, 5)])
    (tmp_path / "processed" / "ben" / "sad" / "empty.csv").touch()
    out = tmp_path / "units.parquet"
    command = ("extract", str(tmp_path / "processed"), "--openface", "--workers", "1", "--json")
    facts = json.loads(mien(*command, "--out", str(out)).out)
    assert (facts["clips"], facts["rows"], facts["spec"]) == (4, 16, "openface-au/1")
    assert [left["reason"] for left in facts["left_out"]] == ["missing_columns"]
    found = read_table(out)
    assert found.clips.names[0] == "anna/happy/clip.csv"
    assert found.clips.user_names() == ("anna", "ben")
    assert found.clips.dimension == 35
    csv = tmp_path / "units.csv"
    assert mien(*command, "--out", str(csv), "--pooling", "max").code == 0
    assert csv.read_text().splitlines()[0].endswith("AU28_c,AU45_c")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--out", "x.txt"), "written as .parquet or .csv"),
        (("--out", "x.csv"), "choose --pooling max or mean"),
        (("--out", "x.parquet", "--pooling", "sum"), "pooling is 'sum'"),
        (("--out", "x.parquet", "--backbone", "none"), "there is no backbone 'none'"),
        (("--out", "x.parquet", "--workers", "-1"), "workers is -1"),
        (("--out", "x.parquet", "--every", "0"), "every is 0"),
        (("--out", "x.parquet", "--max-frames", "-2"), "max_frames is -2"),
        (("--out", "x.parquet", "--time-limit", "0"), "time-limit is 0"),
        (("--out", "x.parquet", "--time-limit", "nan"), "time-limit is nan"),
        (("--out", "x.parquet", "--openface", "--every", "2"), "--every is for videos"),
        (("--out", "x.parquet", "--openface"), "holds no clip"),
        (("--out", "x.parquet", "--openface", "--engine", "torch"), "--engine is for videos"),
        (("--out", "x.parquet", "--engine", "none"), "engine is 'none'"),
        (("--out", "x.parquet", "--precision", "half"), "precision is 'half'"),
        (("--out", "LICENSE"), "LICENSE: is a file, but has no ending; name a folder"),
    ],
)
def test_wrong_use_is_one_sentence(
    mien: Command,
    actors: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    expected: str,
) -> None:
    monkeypatch.chdir(ROOT)
    done = mien("extract", str(actors), *options)
    assert (done.code, done.out) == (2, "")
    assert expected in done.err
    assert done.err.count("\n") == 1
    assert not cache.exists()


def test_a_folder_that_is_not_there(mien: Command, tmp_path: Path) -> None:
    done = mien("extract", str(tmp_path / "gone"), "--out", "x.parquet")
    assert done.code == 2
    assert "gone does not exist; give the folder with the videos" in done.err


@pytest.mark.usefixtures("fakes")
def test_no_usable_clip(mien: Command, tmp_path: Path) -> None:
    (tmp_path / "01-01-01-01-02-02-01.mp4").write_text("no video")
    done = mien("extract", str(tmp_path), "--out", str(tmp_path / "x.parquet"), "--workers", "1")
    assert done.code == 1
    assert "none of the 1 clips" in done.err
    assert not (tmp_path / "x.parquet").exists()
