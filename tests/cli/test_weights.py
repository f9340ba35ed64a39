"""`mien weights`: what is there, how it comes here, and how it is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import cli.console
from cli import weights
from cli.console import exit_code_of
from common.weights import catalogue
from common.weights.catalogue import WEIGHTS
from common.weights.files import WeightsFile
from tests.cli.command import Done
from tests.common.weights.records import recorded
from tests.common.weights.server import serving

CONTENT = b"made-up weights"
OTHER = b"other made-up weights"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, WeightsFile]:
    """A catalogue of two made-up files."""
    files = {
        "b0.onnx": recorded(CONTENT, purpose="made up"),
        "b2.onnx": recorded(OTHER, name="b2.onnx"),
    }
    monkeypatch.setattr(catalogue, "WEIGHTS", files)
    return files


@pytest.fixture
def mien(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "weights")


class Runner:
    """`mien weights COMMAND --folder ...`, with errors as the program tells them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, columns: int = 200) -> Done:
        command, *rest = arguments
        app = typer.Typer()
        app.add_typer(weights.app, name="weights")
        line = ["weights", command, "--folder", str(self.folder), *rest]
        done = CliRunner().invoke(app, line, env={"COLUMNS": str(columns)})
        if done.exception is None or isinstance(done.exception, SystemExit):
            return Done(done.exit_code, done.output, "")
        with cli.console.errors.capture() as told:
            code = exit_code_of(done.exception, debug=False)
        return Done(code, done.output, told.get())

    def json(self, *arguments: str) -> list[dict[str, str]]:
        done = self(*arguments, "--json")
        assert done.code == 0, done.err
        found = json.loads(done.out)
        return found if isinstance(found, list) else [found]


def test_all_known_files_are_listed(mien: Runner) -> None:
    done = mien("list")
    assert done.code == 0
    assert all(name in done.out for name in WEIGHTS)
    assert done.out.count("missing") == len(WEIGHTS)
    assert [row["id"] for row in mien.json("list")] == list(WEIGHTS)
    assert not mien.folder.exists()


def test_the_list_fits_80_columns_and_says_what_needs_a_file(
    mien: Runner,
) -> None:
    lines = [line.rstrip() for line in mien("list", columns=80).out.splitlines()]
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.endswith("missing")}
    assert set(rows) == set(WEIGHTS)
    assert rows["enet_b2_7.onnx"] == ["enet-b2-7", "Apache-2.0", "missing"]
    assert rows["20180402-114759-vggface2.pt"] == ["facenet", "MIT", "missing"]
    assert all(len(row) == 3 for row in rows.values())
    assert max(map(len, lines[:-1])) <= 80
    needed = {row["id"]: row["needed_by"] for row in mien.json("list")}
    assert needed["enet_b0_8_best_vgaf.hsemotion.onnx"] == ["enet-b0-8-best-vgaf"]
    assert needed["face_landmarker_v2_with_blendshapes.task"] == ["blendshapes"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_one_wrong_row(
    mien: Runner, known: dict[str, WeightsFile], make: Callable[[Path], None]
) -> None:
    mien.folder.mkdir()
    make(mien.folder / "b0.onnx")
    (mien.folder / "b2.onnx").write_bytes(OTHER)
    assert [row["state"] for row in mien.json("list")] == ["wrong", "right"]
    done = mien("verify")
    assert done.code == 1
    assert "b0.onnx: wrong, found" in done.out
    assert "expected a regular file" in done.out
    assert "b2.onnx: right" in done.out


def test_a_file_is_fetched_then_listed_and_verified(
    mien: Runner, known: dict[str, WeightsFile]
) -> None:
    with serving(CONTENT) as site:
        done = mien("fetch", "b0.onnx", "--mirror", site.url)
    assert done.code == 0, done.err
    assert str(mien.folder / "b0.onnx") in done.out
    assert (mien.folder / "b0.onnx").read_bytes() == CONTENT
    assert [row["state"] for row in mien.json("list")] == ["right", "missing"]
    (row,) = mien.json("verify")
    assert (row["id"], row["state"], row["purpose"]) == ("b0.onnx", "right", "made up")
    assert row["found"] == row["expected"] == known["b0.onnx"].expected


def test_fetching_says_json_on_demand(mien: Runner, known: dict[str, WeightsFile]) -> None:
    with serving(CONTENT) as site:
        (row,) = mien.json("fetch", "b0.onnx", "--mirror", site.url)
    assert row["path"] == str(mien.folder / "b0.onnx")


def test_a_download_that_fails_says_what_to_do(mien: Runner, known: dict[str, WeightsFile]) -> None:
    with serving(b"", status=404) as site:
        done = mien("fetch", "b0.onnx", "--mirror", site.url)
    assert done.code == 1
    assert "answered 404" in done.err
    assert "mien weights import FILE" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("fetch", "unknown"),
        ("fetch",),
        ("verify", "unknown"),
        ("import", "missing-file"),
        ("fetch", "b0.onnx", "--mirror", "http://mirror.example"),
    ],
)
def test_wrong_use_ends_with_2(
    mien: Runner, known: dict[str, WeightsFile], arguments: tuple[str, ...]
) -> None:
    assert mien(*arguments).code == 2
    assert not mien.folder.exists()


def test_a_wrong_file_is_told_with_both_checksums(
    mien: Runner, known: dict[str, WeightsFile]
) -> None:
    mien.folder.mkdir()
    (mien.folder / "b0.onnx").write_bytes(OTHER)
    done = mien("verify")
    assert done.code == 1
    assert str(known["b0.onnx"].git_blob_sha1) in done.out
    assert str(known["b2.onnx"].git_blob_sha1) in done.out
    assert "b0.onnx" in done.err


def test_a_named_file_must_be_there(mien: Runner, known: dict[str, WeightsFile]) -> None:
    assert mien("verify").code == 0
    done = mien("verify", "b0.onnx")
    assert done.code == 1
    assert "missing" in done.err


def test_files_are_recognised_by_content(
    tmp_path: Path, mien: Runner, known: dict[str, WeightsFile]
) -> None:
    source = tmp_path / "b0.onnx"  # the name of the other
    source.write_bytes(OTHER)
    (row,) = mien.json("import", str(source))
    assert (row["id"], row["state"]) == ("b2.onnx", "right")
    done = mien("import", str(source), "--as", "b0.onnx")
    assert done.code == 1
    assert str(source) in done.err
    assert not (mien.folder / "b0.onnx").exists()


def test_an_unknown_file_is_told_with_its_checksums(
    tmp_path: Path, mien: Runner, known: dict[str, WeightsFile]
) -> None:
    source = tmp_path / "file.onnx"
    source.write_bytes(b"hello\n")
    done = mien("import", str(source))
    assert done.code == 1
    assert "ce013625030ba8dba906f756967f9e9ca394464a" in done.err
    assert not mien.folder.exists()


def test_progress_waits_for_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(weights.time, "monotonic", lambda: now[0])
    drawn: list[tuple[str, int, int]] = []
    watch = weights._delayed(lambda *bar: drawn.append(bar), "b0.onnx")  # type: ignore[arg-type]
    watch(1 << 20, 3 << 20)
    now[0] += 2.5
    watch(2 << 20, 3 << 20)
    watch(3 << 20, 0)
    assert drawn == [("b0.onnx (MiB)", 2, 3), ("b0.onnx (MiB)", 3, 3)]
