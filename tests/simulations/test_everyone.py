"""A head of all users for real devices, beside the federations that are tested."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.simulate import run
from common.errors import UsageError
from common.heads.file import load_head
from common.heads.standardise import exact_reference
from common.heads.universal import UniversalHead, clip_rows
from simulations.everyone import EVERYONE, check_head_file, choose_with_everyone
from simulations.protocols import Protocol
from simulations.selection import Choice
from simulations.settings import SimulationSettings
from simulations.sources import load_table_source
from tests.simulations.tables import USERS, write_table

Results = dict[str, Any]
Saved = list[tuple[Path, UniversalHead, Results]]
WithHead = Callable[[str], tuple[Results, Path, UniversalHead, Results]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("tables") / "table.csv")


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> Saved:
    """What was to be saved, in place of files."""
    found: Saved = []
    monkeypatch.setattr("simulations.everyone.save_head", lambda *given: found.append(given))
    return found


def results_of(table: Path, *, engine: str = "cohort", **changes: Any) -> Results:
    small = {"features": str(table), "rounds": 4, "user_folds": 3, "draws": 1, "l2": 0.01}
    return run(SimulationSettings(**{**small, **changes}), engine=engine, workers=1)


@pytest.fixture(scope="module")
def with_head(table: Path, tmp_path_factory: pytest.TempPathFactory) -> WithHead:
    """Results of an engine, where their head was to be saved, the head, and what goes with it."""
    path = tmp_path_factory.mktemp("heads") / "head.safetensors"

    @cache
    def made(engine: str) -> tuple[Results, Path, UniversalHead, Results]:
        saved: Saved = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("simulations.everyone.save_head", lambda *given: saved.append(given))
            results = results_of(table, engine=engine, save_head=str(path))
        ((_, head, about),) = saved
        assert saved[0][0] == path
        return results, path, head, about

    return made


@pytest.mark.parametrize("folds", [2, 3])
def test_what_is_tested_stays_as_it_was(
    table: Path, tmp_path: Path, saved: Saved, folds: int
) -> None:
    plain = results_of(table, user_folds=folds, l2=0.0)
    more = results_of(table, user_folds=folds, l2=0.0, save_head=str(tmp_path / "head"))
    assert more["chosen"].pop(EVERYONE)["l2"] > 0
    for key in ("accuracy", "intervals", "users", "predictions", "chosen"):
        assert more[key] == plain[key]
    assert more["chosen_on_training_users"] == plain["chosen_on_training_users"]
    assert len(saved) == 1


@pytest.mark.parametrize("folds", [2, 3, 6])
def test_settings_are_chosen_on_all_users_where_any_can_be(folds: int) -> None:
    asked: list[Protocol] = []

    def chosen(protocol: Protocol) -> dict[str, Choice]:
        asked.append(protocol)
        return {name: Choice(0.01, 1.0, 1.0) for name in protocol.held_out}

    held_out = {f"fold-{number}": (f"user-{number}",) for number in range(folds)}
    choices = choose_with_everyone(Protocol("by-take", held_out, ()), chosen)
    (protocol,) = asked
    assert protocol.held_out == (held_out | {EVERYONE: ()} if folds > 2 else held_out)
    assert choices.keys() == held_out.keys() | {EVERYONE}


@pytest.mark.parametrize("engine", ["cohort", "grid"])
def test_every_user_takes_part_and_none_is_tested(
    table: Path, with_head: WithHead, engine: str
) -> None:
    found, _, head, _ = with_head(engine)
    rounds = [r for r in found["transmitted"] + found["in_memory"] if r["federation"] == EVERYONE]
    assert [r["round"] for r in rounds] == list(range(5))
    assert {r["clients"] for r in rounds} == {len(USERS)}
    assert not any(
        record["federation"] == EVERYONE
        for records in found["predictions"].values()
        for record in records
    )
    clips = load_table_source(table).clips
    rows = clip_rows(head.specification, clips)
    reference = exact_reference([rows.of_user(user) for user in clips.user_names()])
    assert np.allclose(head.arrays["reference.centre"], reference.centre, atol=0.2)


def test_engines_agree_on_the_head(with_head: WithHead) -> None:
    one, other = (with_head(engine)[2] for engine in ("cohort", "grid"))
    assert one.specification == other.specification
    for name, array in one.arrays.items():
        assert np.allclose(array, other.arrays[name], atol=1e-4), name


def test_what_goes_with_the_head_names_no_place_and_no_person(
    table: Path, with_head: WithHead
) -> None:
    found, path, head, about = with_head("cohort")
    text = json.dumps(about)
    assert (about["users"], about["clips"]) == (len(USERS), len(load_table_source(table).clips))
    assert (about["synthetic"], about["rounds"], about["seed"]) == (False, 4, 0)
    assert about["l2"] == found["chosen"][EVERYONE]["l2"]
    assert len(about["evidence"]) > 0
    assert str(path.parent) not in text
    assert not any(user in text for user in USERS)
    assert head.specification.features == found["features"]


def test_the_command_says_so(with_head: WithHead) -> None:
    found, path, _, _ = with_head("cohort")
    assert f"--save-head {path}" in found["command"]


def test_a_folder_is_no_place_for_a_head(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a file"):
        check_head_file(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be written"):
        check_head_file(tmp_path / "file" / "head")
    check_head_file(tmp_path / "new" / "head")


def test_a_device_can_read_it(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "head.safetensors"
    found = results_of(table, save_head=str(path))
    head, about = load_head(path)
    assert head.specification.dimension == load_table_source(table).clips.dimension
    assert head.specification.features == found["features"]
    assert about["users"] == len(USERS)
