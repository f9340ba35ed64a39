"""A ledger held against a record: missing, extra and different releases are named."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy.optimize import brentq

from cli.simulate import run
from client.ledger import Ledger
from common.errors import WorkError
from common.paths import simulated_device
from server.audit.finding import Verdict
from server.audit.flower_transcript import load_transcript
from server.audit.ledgers import (
    MOST_EPSILON,
    exposure_finding,
    hold_against,
    ledger_finding,
    likeliest_pseudonym,
)
from server.audit.statistics import ceiling, gaussian_epsilon
from server.audit.transcript import Transcript
from simulations.settings import SimulationSettings
from tests.simulations.tables import write_table

DEVICE = "00004"
Entries = list[dict[str, Any]]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Entries, Transcript]:
    folder = tmp_path_factory.mktemp("ledger")
    settings = SimulationSettings(
        features=str(write_table(folder / "table.csv")),
        rounds=3,
        l2=0.01,
        user_folds=2,
        draws=1,
        record=str(folder / "run"),
        state_root=str(folder / "state"),
    )
    run(settings, engine="grid", workers=1)
    path = simulated_device(folder / "state", int(DEVICE)) / "ledger.jsonl"
    entries = list(Ledger(path).entries())
    federation = str(entries[0]["federation"])
    return entries, load_transcript(folder / "run", federation)


def test_an_honest_pair_agrees(sides: tuple[Entries, Transcript]) -> None:
    entries, transcript = sides
    assert likeliest_pseudonym(entries, transcript) == DEVICE
    assert hold_against(entries, transcript, DEVICE) == []
    assert ledger_finding([], DEVICE).verdict is Verdict.PASS


def test_what_the_ledger_lacks_is_extra(sides: tuple[Entries, Transcript]) -> None:
    entries, transcript = sides
    found = hold_against([e for e in entries if e["round"] != 2], transcript, DEVICE)
    assert [(d.kind, d.stage, d.round) for d in found] == [("extra", "head", 2)]
    finding = ledger_finding(found, DEVICE)
    assert finding.verdict is Verdict.FAIL
    assert "head of round 2 is in the server's record, but the ledger lacks it" in finding.meaning


def test_what_never_came_is_missing_and_no_failure(sides: tuple[Entries, Transcript]) -> None:
    entries, transcript = sides
    more = [*entries, {**entries[-1], "round": 9}]
    found = hold_against(more, transcript, DEVICE)
    assert [(d.kind, d.round) for d in found] == [("missing", 9)]
    assert ledger_finding(found, DEVICE).verdict is Verdict.NOT_MEASURABLE


def test_other_values_are_different(sides: tuple[Entries, Transcript]) -> None:
    entries, transcript = sides
    changed = [{**e, "sha256": "0" * 64} if e["round"] == 1 else e for e in entries]
    found = hold_against(changed, transcript, DEVICE)
    assert [(d.kind, d.round) for d in found] == [("different", 1)]


def test_another_devices_ledger_does_not_fit(sides: tuple[Entries, Transcript]) -> None:
    entries, transcript = sides
    others = [{**e, "sha256": "1" * 64} for e in entries]
    with pytest.raises(WorkError, match="no device of federation"):
        likeliest_pseudonym(others, transcript)
    assert {d.kind for d in hold_against(entries, transcript, "00099")} == {"missing"}


def test_a_broken_entry_is_told(sides: tuple[Entries, Transcript]) -> None:
    with pytest.raises(WorkError, match="stage and round"):
        hold_against([{"sha256": "0", "stage": "head"}], sides[1], DEVICE)


@pytest.mark.parametrize(
    ("share", "of_sums", "verdict"),
    [
        (0.25, 0.0, Verdict.PASS),
        (0.5, 0.0, Verdict.NOT_MEASURABLE),
        (1.0, 0.0, Verdict.FAIL),
        (0.0, 1.2, Verdict.FAIL),
    ],
)
def test_exposure_by_mixtures_per_clip(share: float, of_sums: float, verdict: Verdict) -> None:
    found = exposure_finding(share=share, share_of_sums=of_sums, epsilon=0.0, words="Told.")
    assert found.verdict is verdict
    assert found.meaning.startswith("Told. That is ")


@pytest.mark.parametrize(
    ("share", "epsilon", "verdict", "measure"),
    [
        (0.0, 7.5, Verdict.PASS, "epsilon of rounds under noise"),
        (0.0, 12.0, Verdict.NOT_MEASURABLE, "epsilon of rounds under noise"),
        (0.2, 1e7, Verdict.FAIL, "epsilon of rounds under noise"),
        (0.2, math.inf, Verdict.FAIL, "epsilon of rounds under noise"),
        (1.5, 0.5, Verdict.FAIL, "exact mixtures told, per clip"),
    ],
)
def test_exposure_by_noise(share: float, epsilon: float, verdict: Verdict, measure: str) -> None:
    found = exposure_finding(share=share, share_of_sums=0.0, words="Told.", epsilon=epsilon)
    assert found.verdict is verdict
    assert found.measure == measure
    assert found.details["epsilon"] == epsilon
    assert ("too little to tell" in found.meaning) == (verdict is Verdict.PASS)
    assert bool(found.change) == (verdict is not Verdict.PASS)


def test_the_epsilon_that_fails_lets_nearly_every_clip_be_found() -> None:
    mu = float(brentq(lambda mu: gaussian_epsilon(mu, 1e-5) - MOST_EPSILON, 1, 9))
    assert ceiling(0.01, mu) == pytest.approx(0.99, abs=0.001)
