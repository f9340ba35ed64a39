"""`mien train-backbone`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cli.train_backbone import command
from common.backbones.registry import load
from common.errors import UsageError
from tests.simulations.expression_models.toys import write_image

app = typer.Typer()
app.command()(command)


def run(*arguments: object) -> str:
    """What the command prints; its errors are raised."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_help_says_where_to_begin() -> None:
    text = " ".join(run("--help").replace("│", " ").split())
    assert "--synthetic --out out/try" in text
    assert "nothing is ever downloaded" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give either DATA, a data set of faces, or --synthetic"),
        (["faces", "--synthetic"], "give either DATA"),
        (["--synthetic", "--network", "vgg"], "there is no network 'vgg'"),
        (["--synthetic", "--recipe", "best"], "there is no recipe 'best'"),
        (["--synthetic", "--mix", "cutmix"], "mix is 'cutmix'"),
        (["--synthetic", "--balance", "both"], "balance is 'both'"),
        (["--synthetic", "--epochs", "-1"], "--epochs is below 0"),
        (["--synthetic", "--install-as", "mini-xception"], "choose another id"),
        (["nowhere"], "nowhere: there is no such file or folder"),
    ],
)
def test_wrong_use_gets_a_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(*arguments, "--out", tmp_path / "out")


def test_a_run_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").touch()
    with pytest.raises(UsageError, match="holds a run already; give --resume"):
        run("--synthetic", "--out", tmp_path)


def tree(root: Path) -> Path:
    for part, count in (("train", 8), ("test", 2)):
        for level, name in enumerate(("happy", "neutral", "sad")):
            for number in range(count):
                write_image(root / part / name / f"{number}.png", 20 + 80 * level + number, size=32)
    (root / "train/sad/0.png").write_bytes(b"damaged")
    return root


@pytest.mark.slow
def test_from_a_tree_of_faces_to_a_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_WEIGHTS", str(tmp_path / "weights"))
    small = ("--network", "tiny", "--size", 32, "--epochs", 2, "--batch", 8, "--mix", "mixaugment")
    goes = ("--balance", "sampler", "--validation", 0.25, "--install-as", "mine", "--json")
    data, out = tree(tmp_path / "faces"), tmp_path / "out"
    told = json.loads(run(data, "--out", out, *small, *goes))
    assert told == json.loads((out / "results.json").read_text())
    assert told["synthetic"] is False
    assert told["data"]["parts"]["test"]["per_class"] == {
        "happiness": 2,
        "neutral": 2,
        "sadness": 2,
    }
    assert told["damaged"]["count"] == 1
    assert told["damaged"]["first"][0].endswith("sad/0.png")
    assert 0 <= told["test"]["interval"]["low"] <= told["test"]["accuracy"] <= 1
    assert {row["published"] for row in told["published"]} == {True}
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    with load("mine") as backbone:  # type: ignore[attr-defined]
        crops = np.zeros((2, 32, 32, 3), np.uint8)
        assert backbone.features(crops).shape == (2, told["backbone"]["dimension"])
        assert backbone.record.labels == ("happiness", "neutral", "sadness")


@pytest.mark.slow
def test_synthetic_actors_are_marked(tmp_path: Path) -> None:
    small = ("--actors", 3, "--epochs", 1, "--size", 32, "--network", "dan-tiny")
    text = run("--synthetic", "--out", tmp_path, *small)
    assert text.startswith("SYNTHETIC dan-tiny on synthetic actors, epoch 1 of 1")
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["synthetic"] is True
    assert told["test"]["interval"]["method"] == "percentile bootstrap over people"
    again = run("--synthetic", "--out", tmp_path, *small, "--resume", "--json")
    assert json.loads(again)["test"] == told["test"]
