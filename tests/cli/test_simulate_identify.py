"""`mien simulate --identify` from drawn videos to the table, and what it refuses."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from common.paths import cache_folder
from simulations.actors.plan import ClipPlan
from simulations.actors.writer import write_actors
from simulations.settings import SimulationSettings
from simulations.simulate import command_line
from tests.cli.command import Command
from tests.simulations.tables import write_table

PLAN = ClipPlan(statements=(1,), intensities=(1,), repetitions=(1, 2), frames=4, size=128)
FEW = ("--rounds", "1", "--l2", "0.01", "--user-folds", "2", "--draws", "1", "--workers", "1")
EXPRESSIONS = ("01", "05")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two actors, two expressions, two repetitions."""
    root = tmp_path_factory.mktemp("drawn")
    for path in write_actors(root, actors=2, seed=0, plan=PLAN):
        if path.stem.split("-")[2] not in EXPRESSIONS:
            path.unlink()
    return root


@pytest.mark.slow
def test_from_videos_to_figures(
    mien: Command, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plain = mien("simulate", "--data", str(drawn), *FEW, "--engine", "cohort", "--json")
    assert plain.code == 0, plain.err
    cache = cache_folder() / "features"
    features = {path: path.read_bytes() for path in cache.glob("*.safetensors")}
    done = mien(
        *("simulate", "--data", str(drawn), *FEW, "--engine", "cohort", "--identify"),
        *("--out", str(tmp_path / "out")),
    )
    assert done.code == 0, done.err
    assert "SYNTHETIC: Identification in the loop" in done.out
    assert "--identify" in done.out
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    before = json.loads(plain.out)
    assert {key: results[key] for key in ("accuracy", "uar", "users")} == {
        key: before[key] for key in ("accuracy", "uar", "users")
    }
    found = results["identification"]
    assert found["synthetic"] is True
    assert (found["network"], found["threshold"]) == ("dlib-resnet/1", 0.6)
    assert found["devices"] == [["actor-01", "actor-02"]]
    shares = zip(found["right"], found["unknown"], found["another"], strict=True)
    assert [sum(each) for each in shares] == pytest.approx([1.0] * len(found["own_clips"]))
    assert min(found["right"]) > 0.5
    assert "find out whose clip" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    clips = len(list(drawn.rglob("*.mp4")))
    assert len(features) == clips
    assert len(list(cache.glob("*.safetensors"))) == 2 * clips
    assert {path: path.read_bytes() for path in features} == features


def refused(mien: Command, *arguments: str) -> str:
    done = mien("simulate", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("mien: ")
    assert done.err.count("\n") == 1
    return done.err


def test_a_table_has_no_faces(mien: Command, tmp_path: Path) -> None:
    table = str(write_table(tmp_path / "table.csv"))
    assert "give --data" in refused(mien, "--features", table, "--identify")


@pytest.mark.parametrize("identity", ["", "somebody", "vggface2-enet0"])
def test_a_network_without_a_threshold_is_named(mien: Command, identity: str) -> None:
    text = refused(mien, "--identify", "--identity", identity)
    assert "setting identity" in text
    assert "dlib-resnet" in text


def test_fewer_than_no_users_share_no_device(mien: Command) -> None:
    assert "users-per-device" in refused(mien, "--users-per-device", "-1")


def test_a_head_can_t_be_saved_as_a_folder(mien: Command, tmp_path: Path) -> None:
    table = str(write_table(tmp_path / "table.csv"))
    text = refused(mien, "--features", table, "--save-head", str(tmp_path))
    assert "name a file for save-head" in text


def test_the_command_can_be_pasted() -> None:
    settings = SimulationSettings(identify=True, users_per_device=4)
    expected = ["mien", "simulate", "--identify", "--users-per-device", "4"]
    assert shlex.split(command_line(settings)) == expected
