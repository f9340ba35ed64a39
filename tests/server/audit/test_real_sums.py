"""A federation of real secure sums, recorded by the server, read back; a ledger held against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.ledger import Ledger
from common.heads.universal import UniversalHead
from common.paths import simulated_device
from server.audit.attacks import a10_masks, a12_metadata
from server.audit.finding import SUM, Verdict
from server.audit.ledgers import hold_against, likeliest_pseudonym
from server.audit.recorded import load_subject
from server.audit.subject import Subject
from server.federation import run_federation
from server.flower_adapter import FlowerFleet
from server.run import ServerPlan
from simulations.engines.flower_grid import FlowerGrid
from simulations.identities import give_identities
from tests.client.fakes import device, made_up_clips, specification
from tests.common.plans import sum_plan

DEVICES = 4
PLAN = sum_plan()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sums")


@pytest.fixture(scope="module")
def ended(root: Path) -> UniversalHead:
    for index in range(DEVICES):
        device(root, made_up_clips(per_expression=2, seed=index), specification(), index=index)
    give_identities(root, DEVICES)
    config = {"state-root": str(root)}
    (root / "run").mkdir()
    ServerPlan(specification(), (PLAN,), DEVICES).save(root / "run" / "plan.json")
    with FlowerGrid(devices=DEVICES, run_config=config, workers=1, progress=lambda _: None) as grid:
        fleet = FlowerFleet(grid, devices=DEVICES, timeout=60, poll=0.001, record=root / "run")
        return run_federation(fleet, specification(), PLAN, lambda _: None, strict=True)


@pytest.fixture(scope="module")
def subject(root: Path, ended: UniversalHead) -> Subject:
    return load_subject(root / "run")


def test_the_head_is_found_again(subject: Subject, ended: UniversalHead) -> None:
    for name, array in ended.arrays.items():
        assert subject.transcript.final.arrays[name].tobytes() == array.tobytes()


def test_the_record_shows_sums_alone(subject: Subject) -> None:
    assert not subject.transcript.individual
    assert subject.members == tuple(f"{index:05d}" for index in range(DEVICES))
    assert all(each.secure for each in subject.transcript.rounds)
    outcome = a12_metadata.run(subject, SUM)
    assert outcome.verdict is Verdict.PASS, outcome.meaning


def test_masked_vectors_of_all_rounds_are_kept_and_uniform(subject: Subject) -> None:
    """Round 0's too, which are longer than its sum."""
    assert all(len(each.secure.masked) == DEVICES for each in subject.transcript.rounds)  # type: ignore[union-attr]
    first = subject.transcript.rounds[0].secure
    assert first is not None
    length = 2 * len(first.total) - 1
    assert {vector.shape for vector in first.masked.values()} == {(length,)}
    assert not a10_masks.run(subject, SUM).details.get("problems")


def test_a_reference_that_the_ledger_tells_otherwise_is_named(root: Path, subject: Subject) -> None:
    entries = list(Ledger(simulated_device(root, 2) / "ledger.jsonl").entries())
    changed = [{**e, "sha256": "0" * 64} if e.get("round") == 0 else e for e in entries]
    found = hold_against(changed, subject.transcript, "00002")
    assert [(d.kind, d.stage, d.round) for d in found] == [("different", "reference", 0)]


def test_a_devices_ledger_agrees(root: Path, subject: Subject) -> None:
    entries = list(Ledger(simulated_device(root, 2) / "ledger.jsonl").entries())
    assert likeliest_pseudonym(entries, subject.transcript) == "00002"
    assert hold_against(entries, subject.transcript, "00002") == []
    fewer = [e for e in entries if e.get("round") != 1]
    found = hold_against(fewer, subject.transcript, "00002")
    assert [(d.kind, d.stage, d.round) for d in found] == [("extra", "head", 1)]
