"""A whole simulation on a small made-up table, and the real table's figures (slow)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from cli.simulate import run
from client.store import DeviceFolder
from common.errors import UsageError
from common.paths import simulated_device
from server.run import load_head
from simulations.settings import SimulationSettings
from simulations.simulate import command_line, locked, powers_of_two, simulation_root
from tests.simulations.pictures import empty_pictures
from tests.simulations.tables import FEATURES, USERS, write_table
from tests.support import shared_data

HEADS = {"universal", "universal_raw", "pooled", "personal", "local_only", "fine_tune"}
Results = dict[str, Any]


def settings_of(folder: Path, **changes: Any) -> SimulationSettings:
    table = folder / "table.csv"
    if not table.exists():
        write_table(table)
    small = {"features": str(table), "rounds": 4, "l2": 0.01, "user_folds": 3, "draws": 2}
    return SimulationSettings(**{**small, **changes})


def without_time(results: Results) -> Results:
    """Results but for what differs from run to run."""
    return {k: v for k, v in results.items() if k not in ("seconds", "command", "commit")}


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """As `cli.main` has it: waiting threads take the cores from those that work."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulation")


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    settings = settings_of(folder, out=str(folder / "out"), state_root=str(folder / "state"))
    with empty_pictures():
        return run(settings, engine="grid", workers=1)


def test_the_results_have_the_agreed_keys(results: Results) -> None:
    assert set(results) >= {
        *("schema", "command", "seed", "versions", "protocol", "source", "synthetic", "clients"),
        *("rounds", "accuracy", "uar", "users", "users_harmed", "intervals", "transmitted"),
        *("left_out", "seconds"),
    }
    for name in ("accuracy", "uar"):
        assert set(results[name]) == {"own_clips", *HEADS}
    for user in results["users"]:
        assert set(user) >= {"user", "clips", "universal", "personal", "local_only"}
    for sent in results["transmitted"]:
        assert set(sent) >= {"round", "clients", "bytes", "arrays"}
        for array in sent["arrays"]:
            assert set(array) == {"name", "shape", "dtype"}


def test_results_json_is_what_was_returned(results: Results, folder: Path) -> None:
    written = json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(results))


def test_the_results_are_of_this_run(results: Results) -> None:
    assert results["schema"] == "mien-results/1"
    assert (results["protocol"], results["source"]) == ("by-take", "table.csv")
    assert results["synthetic"] is False
    assert (results["seed"], results["rounds"], results["clients"]) == (0, 4, len(USERS))
    assert results["left_out"] == []
    assert results["seconds"] > 0
    assert {"python", "mien", "flwr", "torch", "numpy"} <= set(results["versions"])


def test_figures_are_shares_of_the_right_number(results: Results) -> None:
    own_clips = results["accuracy"]["own_clips"]
    assert own_clips == [1, 2]
    for table in (results["accuracy"], results["uar"], *results["users"]):
        for name in ("universal", "universal_raw", "pooled"):
            assert 0 <= table[name] <= 1
        for name in ("personal", "local_only"):
            assert len(table[name]) == len(own_clips)
            assert all(0 <= value <= 1 for value in table[name])
    assert [user["user"] for user in results["users"]] == list(USERS)
    assert {user["clips"] for user in results["users"]} == {8}
    assert len(results["users_harmed"]) == len(own_clips)


def test_the_mean_over_users_is_the_accuracy(results: Results) -> None:
    for name in ("universal", "universal_raw", "pooled"):
        values = [user[name] for user in results["users"]]
        assert results["accuracy"][name] == pytest.approx(sum(values) / len(values))


def test_the_heads_learnt_something(results: Results) -> None:
    """Four expressions: chance is 0.25."""
    assert results["accuracy"]["universal"] > 0.5
    assert results["accuracy"]["personal"][-1] > 0.5


def test_each_round_is_recorded_as_it_was_transmitted(results: Results) -> None:
    sent = results["transmitted"]
    expected = [(f"fold-{fold}", round) for fold in (1, 2, 3) for round in range(5)]
    assert [(entry["federation"], entry["round"]) for entry in sent] == expected
    assert {entry["clients"] for entry in sent} == {4}
    assert {entry["failures"] for entry in map(_frozen, sent)} == {()}
    names = [array["name"] for array in sent[1]["arrays"]]
    assert names == ["population.weight", "population.bias", "user.weight", "user.bias"]
    assert sent[1]["arrays"][0] == {
        "name": "population.weight",
        "shape": [8, FEATURES],
        "dtype": "float32",
    }


def _frozen(entry: Results) -> Results:
    return {**entry, "failures": tuple(entry["failures"])}


def test_devices_ledgers_are_what_the_server_received(results: Results, folder: Path) -> None:
    """Bytes and releases of all ledgers together are those of `transmitted`."""
    entries = [
        entry
        for index in range(len(USERS))
        for entry in DeviceFolder(simulated_device(folder / "state", index)).ledger.entries()
    ]
    assert len(entries) == sum(sent["clients"] for sent in results["transmitted"])
    assert sum(e["bytes"] for e in entries) == sum(s["bytes"] for s in results["transmitted"])


def test_a_user_s_clips_take_no_part_in_the_federation_that_tests_them(
    results: Results, folder: Path
) -> None:
    for index in range(len(USERS)):
        device = DeviceFolder(simulated_device(folder / "state", index))
        released = {entry["federation"] for entry in device.ledger.entries()}
        tested = {part.federation for part in device.settings().parts}
        assert not released & tested
        assert released | tested == {"fold-1", "fold-2", "fold-3"}


def test_no_test_clip_is_an_own_clip(results: Results) -> None:
    for records in results["predictions"].values():
        for record in records:
            assert not set(record["adaptation_clips"]) & set(record["test_clips"])


def test_heads_are_kept(results: Results, folder: Path) -> None:
    for fold in (1, 2, 3):
        head = load_head(folder / "state" / "server" / f"fold-{fold}.safetensors")
        assert head.specification.features == results["features"]


def test_the_same_seed_gives_the_same_results(results: Results, folder: Path) -> None:
    again = run(settings_of(folder), engine="grid", workers=1)
    assert without_time(again) == without_time(results)


@pytest.mark.slow
def test_two_workers_give_the_same_results_as_one(
    results: Results, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    shared = run(settings_of(folder), engine="grid", workers=2)
    assert without_time(shared) == without_time(results)


def test_what_an_earlier_run_left_does_not_count(results: Results, folder: Path) -> None:
    """More folds first: their evaluations lie in the devices' folders when fewer are run."""
    state = str(folder / "used before")
    more = settings_of(folder, state_root=state, user_folds=6, rounds=1, draws=1)
    run(more, engine="grid", workers=1)
    again = run(settings_of(folder, state_root=state), engine="grid", workers=1)
    assert without_time(again) == without_time(results)


@pytest.mark.parametrize("head", ["single-attention", "self-attention", "self-attention-literal"])
def test_every_head_can_be_simulated(
    folder: Path, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.personalisation.fine_tune.ATTENTION_EPOCHS", 6)
    settings = settings_of(folder, head=head, rounds=1, user_folds=2, local_epochs=1, draws=1)
    found = run(settings, engine="grid", workers=1)
    assert found["head"] == head
    assert found["accuracy"]["own_clips"] == [1, 2]


def test_the_command_names_only_what_differs_and_can_be_pasted(tmp_path: Path) -> None:
    table = str(tmp_path / "two words' table.csv")
    command = command_line(SimulationSettings(features=table, rounds=4, user_folds=3))
    expected = ["mien", "simulate", "--features", table, "--rounds", "4", "--user-folds", "3"]
    assert shlex.split(command) == expected


@pytest.mark.parametrize(
    ("limit", "powers"), [(1, (1,)), (2, (1, 2)), (3, (1, 2)), (4, (1, 2, 4)), (9, (1, 2, 4, 8))]
)
def test_powers_of_two(limit: int, powers: tuple[int, ...]) -> None:
    assert powers_of_two(limit) == powers


def test_a_folder_is_used_by_one_simulation_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "state"),
        pytest.raises(UsageError, match="another simulation"),
        locked(tmp_path / "state"),
    ):
        pass
    with locked(tmp_path / "state"):
        pass


def test_an_earlier_simulation_s_folders_are_removed(tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / "devices" / "00000").mkdir(parents=True)
        (tmp_path / "notes.txt").write_text("mine")
    with locked(tmp_path):
        assert not (tmp_path / "devices").exists()
        assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["devices", "server"])
def test_folders_that_no_simulation_made_are_left_alone(tmp_path: Path, name: str) -> None:
    """Such as a checkout's `server/`, where somebody gives that folder as state-root."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "app.py").write_text("work of months")
    with pytest.raises(UsageError, match="state-root"), locked(tmp_path):
        pass
    assert (tmp_path / name / "app.py").read_text() == "work of months"


def test_without_a_state_root_nothing_is_left(folder: Path) -> None:
    with simulation_root(settings_of(folder)) as root:
        (root / "devices").mkdir()
    assert not root.exists()


def real_table() -> str:
    data = shared_data()
    if data is None or not (data / "ravdess-openface-au.csv").is_file():
        pytest.skip("needs the real table ../shared/data/ravdess-openface-au.csv")
    return str(data / "ravdess-openface-au.csv")


@pytest.mark.slow
def test_the_real_table_by_take() -> None:
    found = run(SimulationSettings(features=real_table()), engine="grid", workers=1)
    accuracy = found["accuracy"]
    assert found["clients"] == 24
    assert accuracy["own_clips"] == [1, 2, 4]
    assert accuracy["universal"] >= 0.72
    for reached, least in zip(accuracy["personal"], (0.80, 0.85, 0.905), strict=True):
        assert reached >= least
    assert abs(accuracy["universal"] - accuracy["pooled"]) <= 0.005
    others = zip(accuracy["local_only"], accuracy["fine_tune"], strict=True)
    for personal, other in zip(accuracy["personal"], others, strict=True):
        assert personal >= max(accuracy["universal"], *other) - 0.005
    spread = found["spread"]
    assert min(spread["personal"]["worst"]) > spread["universal"]["worst"]
    # With 30 test clips each, chance alone puts about 5 of 24 users below at 1 own clip.
    for harmed, most in zip(found["users_harmed"], (6, 2, 0), strict=True):
        assert harmed <= most
    stream = found["resting_stream"]
    assert stream["universal"] >= stream["universal_raw"] - 0.01


@pytest.mark.slow
def test_the_real_table_on_the_published_folds() -> None:
    settings = SimulationSettings(features=real_table(), protocol="folds")
    assert run(settings, engine="grid", workers=1)["accuracy"]["universal_raw"] >= 0.585
