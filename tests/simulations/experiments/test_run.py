"""Runs: every result says how it was made, resumes at whole cells, and can be rendered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from simulations.experiments import federation as sweeps
from simulations.experiments.about import ABOUT
from simulations.experiments.experiment import Experiment
from simulations.experiments.registry import EXPERIMENTS
from simulations.experiments.report.page import read_results, render, section_of, write_report
from simulations.experiments.run import Options, run_experiment
from simulations.watching import unwatched
from tests.simulations.experiments.fakes import write_ravdess_table
from tests.simulations.report.parsed import Page

TINY: dict[str, Any] = {
    "rounds": 2,
    "user_folds": 2,
    "chosen": False,
    "heads": ("logistic",),
    "methods": ("personal", "local_only"),
}


def tiny(name: str) -> Experiment:
    """The experiment with a mini config that takes a second."""
    experiment = EXPERIMENTS[name]
    counts: dict[str, Any] = {"own_clips": (1, 2)} if name == "figure5" else {}
    if name == "avatar-mismatch":
        one_each = ("faces", "avatars", "pairs", "strangers", "each")
        counts = {"actors": 6, "amounts": tuple((what, 1) for what in one_each)}
    return replace(experiment, mini=replace(experiment.mini, **TINY, **counts))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_ravdess_table(tmp_path_factory.mktemp("tables") / "made-up.csv"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, table: str) -> Callable[..., Path]:
    """Runs what is asked for, once, on a made-up table; gives the folder of all results."""
    out = tmp_path_factory.mktemp("results")

    @cache
    def of(*names: str) -> Path:
        for name in names:
            if not (out / f"{name}.json").exists():
                options = Options(out=out, features=(table,), mini=True)
                run_experiment(tiny(name), options, unwatched)
        return out

    return of


@pytest.fixture
def folder(made: Callable[..., Path]) -> Path:
    """Results of the experiment that holds the most, at the least."""
    return made("table3", "folds")


@pytest.fixture
def all_results(made: Callable[..., Path]) -> Path:
    return made(*EXPERIMENTS)


def results(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_every_experiment_has_a_help() -> None:
    assert set(ABOUT) == set(EXPERIMENTS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n == "table3" else pytest.mark.slow) for n in EXPERIMENTS],
)
def test_a_result_names_its_command_code_data_and_seed(
    made: Callable[..., Path], table: str, name: str
) -> None:
    folder = made(name)
    found = results(folder, name)
    assert found["command"].startswith(f"mien experiment {name} --features {table} --mini --out ")
    assert found["date"][:2] == "20"
    draws = EXPERIMENTS[name].own_inputs is not None
    first = EXPERIMENTS[name].mini.first_seed
    assert (found["seeds"], found["mini"], found["synthetic"]) == ([first], True, draws)
    assert found["versions"]["mien"]
    assert len(found["data"]) == 1 + draws
    data = found["data"][-1]
    assert (data["name"], data["clips"], data["users"]) == ("made-up", 96, 4)
    assert data["second_files_of_a_take"] == 48
    assert found["cells"]
    for cell in found["cells"]:
        assert (folder / name / cell["file"]).is_file()
        assert not cell["reused"]
    assert {each["name"] for each in found["missing"]} == set(EXPERIMENTS[name].full.backbones)


def test_table3_puts_both_protocols_and_the_published_figures_side_by_side(folder: Path) -> None:
    found = results(folder, "table3")["figures"]
    assert [row["protocol"] for row in found["rows"]] == ["paper", "by-take"]
    paper, taken = found["rows"]
    assert paper["twin"]["personal"]["with"]["clips"] > 0
    assert (paper["users"], taken["users"]) == (2, 4)
    assert taken["twin"]["personal"]["with"]["clips"] == 0
    section = section_of(results(folder, "table3"))
    published = [row for row in section.tables[0].rows if "(paper)" in row[0]]
    assert len(published) == 9
    assert published[3][:4] == ("EmotiEffNet-B0 (paper)", "logistic", "73.65", "91.43")


@pytest.mark.slow
def test_the_federations_sweeps_are_held_against_the_same_clips_pooled(
    made: Callable[..., Path],
) -> None:
    folder = made("federation")
    found = {s["axis"]: s for s in results(folder, "federation")["figures"]["sweeps"]}
    assert set(found) == {sweep.axis for sweep in sweeps.SWEEPS}
    lost = found["lost or late"]["rows"]
    assert [row["value"] for row in lost] == ["none", "50 %"]
    assert lost[0]["replies_lost"] == 0 < lost[1]["replies_lost"]
    asked = found["clients per round"]["rows"]
    assert asked[1]["updates_per_round"] < asked[0]["updates_per_round"]
    skewed = found["label skew"]["rows"]
    assert skewed[0]["training_clips"] < lost[0]["training_clips"]
    for sweep in found.values():
        for row in sweep["rows"]:
            gap = row["federated"]["mean"] - row["pooled"]["mean"]
            assert row["gap"]["mean"] == pytest.approx(gap)


@pytest.mark.slow
def test_the_report_shows_all_results_and_how_they_were_made(all_results: Path) -> None:
    folder = all_results
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    text = page.root.text
    for name, experiment in EXPERIMENTS.items():
        found = results(folder, name)
        assert experiment.title in text
        for told in (found["command"], found["code"], found["data"][0]["digest"][:16]):
            assert told in text
    charts = sum(len(section_of(each).charts) for each in read_results(folder))
    assert len([svg for svg in page.all("svg") if svg.parent]) >= charts
    assert len(page.all("figure")) == charts
    assert not page.all("script")
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert "SYNTHETIC" not in Page(render([results(folder, "folds")])).root.text


def test_synthetic_results_are_called_so_wherever_they_stand(folder: Path) -> None:
    found = [{**results(folder, "table3"), "synthetic": True}]
    text = render(found)
    assert render(found) == text
    page = Page(text)
    for element in page.all("h1", "caption", "figcaption", "h2"):
        assert "SYNTHETIC" in element.text
    for title in page.all("title"):
        assert "SYNTHETIC" in title.text


def test_a_run_that_was_killed_goes_on_at_whole_cells(folder: Path, table: str) -> None:
    name = "table3"
    before = results(folder, name)
    lost = before["cells"][0]["file"]
    (folder / name / lost).unlink()
    options = Options(out=folder, features=(table,), mini=True)
    after = run_experiment(tiny(name), options, unwatched)
    assert [cell["reused"] for cell in after["cells"]] == [
        cell["file"] != lost for cell in after["cells"]
    ]
    assert after["figures"] == before["figures"]


def test_names_that_say_nothing_of_actors_do_by_take_alone(tmp_path: Path) -> None:
    from tests.simulations.tables import write_table

    path = write_table(tmp_path / "own.csv", users=("Ada", "Ben", "Cem"), expressions=2, each=2)
    options = Options(out=tmp_path / "out", features=(str(path),), mini=True)
    found = run_experiment(tiny("table3"), options, unwatched)
    assert [row["protocol"] for row in found["figures"]["rows"]] == ["by-take"]
    words = " ".join(section_of(found).words)
    assert "Protocol paper was not run on own" in words
    assert "twins are absent" in words
    with pytest.raises(UsageError, match="protocol 'folds' is of RAVDESS's actors"):
        run_experiment(tiny("folds"), replace(options, out=tmp_path / "folds"), unwatched)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "no data is named; give --data FOLDER"),
        ({"data": "a", "features": ("b",)}, "both --data and --features"),
        ({"mini": True, "seeds": -1}, "seeds is -1, expected 1 to 1000"),
        ({"mini": True, "workers": -2}, "workers is -2"),
        ({"features": ("one/t.csv", "two/t.csv")}, "go by the same name 't'"),
        ({"data": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path: Path, changes: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        run_experiment(tiny("folds"), Options(out=tmp_path, **changes), unwatched)


def test_two_tables_of_one_backbone_are_one_too_many(tmp_path: Path) -> None:
    paths = [write_ravdess_table(tmp_path / f"{n}.csv") for n in (1, 2)]
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines()
        spec = ["mien_spec,", *(["mini-xception/1/2,"] * (len(lines) - 1))]
        path.write_text("\n".join(map("".join, zip(spec, lines, strict=True))), encoding="utf-8")
    options = Options(out=tmp_path, features=tuple(map(str, paths)), mini=True)
    with pytest.raises(UsageError, match="mini-xception: two tables hold features of this"):
        run_experiment(tiny("figures3-4"), options, unwatched)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "has no results of an experiment"),
        ("{", "can't be read"),
        ('{"schema": "mien-results/1"}', "is of schema 'mien-results/1'"),
    ],
)
def test_a_folder_without_results_is_named(tmp_path: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        (tmp_path / "table3.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=sentence):
        write_report(tmp_path)
