"""Cells: whole or absent, used again only where they would come out the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from simulations.experiments.cells import CellStore, Stamp, code_digest, slug
from tests.simulations.experiments.fakes import made_up_input

STAMP = Stamp("table3", "mien experiment table3", "abc", "code-1", {"mien": "0.1.0"})
SOURCE = made_up_input()


@dataclass(frozen=True)
class Task:
    head: str
    seed: int
    counts: tuple[int, ...] = (1, 2)


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, Any]:
        self.calls += 1
        return {"call": self.calls}


def test_a_cell_says_how_it_was_made(tmp_path: Path) -> None:
    cell, reused = CellStore(tmp_path / "cells", STAMP).get(Task("logistic", 3), SOURCE, Counter())
    assert not reused
    (path,) = (tmp_path / "cells").iterdir()
    assert path.name == cell["file"]
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["command"] == "mien experiment table3"
    assert (found["commit"], found["seed"], found["results"]) == ("abc", 3, {"call": 1})
    assert found["versions"] == {"mien": "0.1.0"}
    assert found["date"].endswith("+00:00")
    assert found["data"]["digest"] == SOURCE.about["digest"]
    assert len(found["data"]["digest"]) == 64
    assert found["seconds"] >= 0


def test_an_equal_cell_is_used_again_unless_told_otherwise(tmp_path: Path) -> None:
    make = Counter()
    task = Task("logistic", 0)
    first = CellStore(tmp_path, STAMP).get(task, SOURCE, make)
    assert CellStore(tmp_path, replace(STAMP, command="again", commit="def")).get(
        task, SOURCE, make
    ) == (first[0], True)
    assert make.calls == 1
    assert not CellStore(tmp_path, STAMP, again=True).get(task, SOURCE, make)[1]
    assert make.calls == 2


@pytest.mark.parametrize(
    ("stamp", "task", "source"),
    [
        (replace(STAMP, code="code-2"), Task("logistic", 0), SOURCE),
        (replace(STAMP, versions={"mien": "0.2.0"}), Task("logistic", 0), SOURCE),
        (STAMP, Task("logistic", 1), SOURCE),
        (STAMP, Task("logistic", 0, (1,)), SOURCE),
        (STAMP, Task("logistic", 0), made_up_input((1, 2, 8, 10))),
    ],
)
def test_whatever_could_change_a_figure_makes_it_anew(
    tmp_path: Path, stamp: Stamp, task: Task, source: Any
) -> None:
    make = Counter()
    CellStore(tmp_path, STAMP).get(Task("logistic", 0), SOURCE, make)
    assert not CellStore(tmp_path, stamp).get(task, source, make)[1]
    assert make.calls == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"results": 1}'])
def test_a_damaged_cell_is_made_anew(tmp_path: Path, text: str) -> None:
    make = Counter()
    store = CellStore(tmp_path, STAMP)
    cell, _ = store.get(Task("logistic", 0), SOURCE, make)
    (tmp_path / cell["file"]).write_text(text, encoding="utf-8")
    assert store.get(Task("logistic", 0), SOURCE, make)[0]["results"] == {"call": 2}


def test_a_measurement_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        CellStore(tmp_path, STAMP).get(Task("logistic", 0), SOURCE, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_t_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be written there"):
        CellStore(tmp_path / "file", STAMP).get(Task("logistic", 0), SOURCE, Counter())


def test_names_say_what_a_cell_is() -> None:
    data = {"name": "My Table/é", "digest": "0"}
    one = slug({"task": {"head": "logistic", "seed": 2}, "data": data})
    assert one.startswith("my-table-logistic-seed-2-")
    assert one != slug({"task": {"head": "logistic", "seed": 2}, "data": {**data, "digest": "1"}})


def test_the_codes_digest_is_of_its_files() -> None:
    assert len(code_digest()) == 16
    assert code_digest() == code_digest()
