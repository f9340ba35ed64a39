"""Heads that tell too much in one round: refused, or accepted and then on record everywhere."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.simulate import run
from client.store import DeviceFolder
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from common.paths import simulated_device
from simulations.experiments.groups import grouped
from simulations.experiments.report.parts import accepted_leaks
from simulations.report.facts import federation_words
from simulations.settings import SimulationSettings
from simulations.simulate import _limits

WIDE = 33


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of features that are too many to be mixed in the open."""
    path = tmp_path_factory.mktemp("wide") / "table.csv"
    chooser = np.random.default_rng(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "user", "expression", *(f"f{n}" for n in range(WIDE))])
        for user in ("Ada", "Ben", "Cem"):
            for number in range(4):
                values = chooser.normal(size=WIDE)
                name = EXPRESSIONS[number % 2]
                writer.writerow([f"{user}-{number}", user, name, *(f"{v:.4f}" for v in values)])
    return path


def settings(table: Path, **changes: Any) -> SimulationSettings:
    small = {"head": "self-attention", "rounds": 1, "l2": 0.01, "user_folds": 2, "draws": 1}
    small["key_dimension"] = 1
    return SimulationSettings(features=str(table), local_epochs=1, **{**small, **changes})


def test_it_is_refused_with_both_ways_out(table: Path) -> None:
    with pytest.raises(UsageError) as refused:
        run(settings(table), engine="cohort", workers=1)
    assert "self-attention on 33 features" in str(refused.value)
    assert "--projection" in str(refused.value)
    assert "--accept-leak" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_accepted_it_is_in_results_report_and_devices_settings(table: Path, tmp_path: Path) -> None:
    accepted = settings(table, accept_leak=True, state_root=str(tmp_path))
    found = run(accepted, engine="grid", workers=1)
    told = found["federation"]
    assert told["accepted_leak"] is True
    assert told["mixing_arrays"] == ["query_projection", "key_projection"]
    assert federation_words(found)[0].startswith("LEAK ACCEPTED: this head")
    assert DeviceFolder(simulated_device(tmp_path, 0)).settings().accept_leak
    assert "--accept-leak" in found["command"]


def test_results_of_a_linear_head_say_what_a_round_tells(table: Path) -> None:
    found = run(settings(table, head="logistic"), engine="cohort", workers=1)
    assert found["federation"] == {
        "mixing_arrays": [],
        "combinations_per_round": 7,
        "accepted_leak": False,
        "projection": None,
        "exposure_limits": {"share": None, "epsilon": None},
    }
    words = ("An update that leaves as it is tells 7 exact mixtures of its clips.",)
    assert federation_words(found) == words
    assert federation_words({}) == ()


def test_simulated_devices_have_the_limits_that_were_asked_for(table: Path, tmp_path: Path) -> None:
    limited = {"exposure_share": 2.0, "exposure_epsilon": 4.0, "state_root": str(tmp_path)}
    found = run(settings(table, head="logistic", **limited), engine="grid", workers=1)
    limits = DeviceFolder(simulated_device(tmp_path, 0)).exposure_limits()
    assert (limits.share, limits.epsilon) == (2.0, 4.0)
    assert found["federation"]["exposure_limits"] == {"share": 2.0, "epsilon": 4.0}
    assert "from 2 mixtures per clip" in federation_words(found)[-1]


def test_simulated_devices_send_nothing_bare_where_sums_are_secure(table: Path) -> None:
    assert _limits(settings(table)).bare_updates
    assert not _limits(settings(table, secure_aggregation="on")).bare_updates


def test_devices_decline_what_exceeds_their_limits(table: Path) -> None:
    """Four clips each, and a round tells seven mixtures."""
    with pytest.raises(WorkError, match=r"round 1 .* no update: all devices declined"):
        run(settings(table, head="logistic", exposure_share=0.9), engine="grid", workers=1)


def test_the_cohort_engine_has_no_devices_to_limit(table: Path) -> None:
    with pytest.raises(UsageError, match="--engine grid"):
        run(settings(table, exposure_share=0.9), engine="cohort", workers=1)


def test_experiments_name_the_heads_whose_leak_they_accept() -> None:
    def cell(head: str, leaks: bool) -> dict[str, Any]:
        about = {"name": "made up", "synthetic": True, "second_files_of_a_take": 0}
        results = {"records": [{"user": "Ada", "labels": [0]}]}
        results |= {"federation": {"accepted_leak": leaks}}  # type: ignore[dict-item]
        return {"task": {"head": head, "protocol": "by-take"}, "data": about, "results": results}

    rows = [g.about for g in grouped([cell("logistic", False), cell("self-attention", True)])]
    assert [row["accepted_leak"] for row in rows] == [False, True]
    (sentence,) = accepted_leaks(rows)
    assert sentence.startswith("Leak accepted: self-attention on these features")
    assert accepted_leaks(rows[:1]) == ()
