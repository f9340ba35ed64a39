"""The device's own word before a round: its budget, and heads that tell too much at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.exposure import FLEET_LIMITS, NO_LIMITS, basis_of, exposure, exposure_part
from client.exposure_check import refusal
from client.rounds import answer
from client.store import DeviceFolder
from common.heads.leak import combinations
from common.heads.specification import HEAD_STAGE, REFERENCE_STAGE
from tests.client.fakes import any_head, device, made_up_clips, request, specification

SPEC = specification()
CLIPS = made_up_clips(("Ada", "Ben"))  # 32 clips: one round of 7 is below a quarter
ARRAYS = [{"name": "population.weight", "shape": [8, 5]}]


def store(tmp_path: Path, **settings: Any) -> DeviceFolder:
    return device(tmp_path, CLIPS, SPEC, **{"exposure_share": 0.25, **settings})


def sent(folder: DeviceFolder, number: int, **protection: Any) -> None:
    """Write what the gate would of a round that was answered."""
    asked = request(SPEC, HEAD_STAGE, round=number)
    told = exposure_part(asked, folder.clips(), **protection)
    entry = {"stage": HEAD_STAGE, "round": number, "arrays": ARRAYS, "sha256": f"{number:064x}"}
    folder.ledger.append({**entry, **told})


def test_a_round_above_the_budget_is_declined_and_below_it_not(tmp_path: Path) -> None:
    folder = store(tmp_path)
    assert refusal(folder, request(SPEC, HEAD_STAGE, round=1)) is None
    sent(folder, 1)
    why = refusal(folder, request(SPEC, HEAD_STAGE, round=2))
    assert why is not None
    assert why.startswith("after it 14 exact mixtures of this device's 32 clips would have left")
    assert refusal(folder, request(SPEC, REFERENCE_STAGE)) is None


def test_the_same_round_asked_again_costs_nothing(tmp_path: Path) -> None:
    folder = store(tmp_path)
    sent(folder, 1)
    again = request(SPEC, HEAD_STAGE, round=1)
    assert refusal(folder, again) is None
    assert refusal(folder, again, clips=CLIPS.select(range(31))) is not None
    assert refusal(folder, replace(again, head=any_head(SPEC))) is not None
    sent(folder, 1)
    assert exposure(folder.ledger.entries(), 32, FLEET_LIMITS).open_combinations == 7


def test_a_masked_update_that_is_asked_for_again_counts_anew(tmp_path: Path) -> None:
    folder = store(tmp_path)
    sent(folder, 1, secure_sum={"stay": 5, "members": 6, "session": "ab"})
    assert refusal(folder, request(SPEC, HEAD_STAGE, round=1)) is not None


def test_another_store_on_the_same_folder_counts_the_same(tmp_path: Path) -> None:
    sent(store(tmp_path), 1)
    folder = DeviceFolder(next((tmp_path / "devices").iterdir()))
    assert refusal(folder, request(SPEC, HEAD_STAGE, round=2)) is not None


@pytest.mark.parametrize(
    ("stay", "noise", "declined"),
    [(0, 0.0, True), (3, 0.0, True), (10, 0.0, False), (0, 5.0, False)],
)
def test_protection_is_counted(tmp_path: Path, stay: int, noise: float, declined: bool) -> None:
    folder = store(tmp_path, exposure_epsilon=8.0)
    sent(folder, 1)
    sent(folder, 2)
    why = refusal(folder, request(SPEC, HEAD_STAGE, round=3), stay=stay, noise=noise)
    assert (why is not None) == declined


def test_a_folder_without_limits_takes_part_without_reading_its_ledger(tmp_path: Path) -> None:
    folder = device(tmp_path, CLIPS, SPEC)
    assert folder.exposure_limits() == NO_LIMITS
    (folder.path / "ledger.jsonl").write_text("damaged")
    assert refusal(folder, request(SPEC, HEAD_STAGE)) is None


@pytest.mark.parametrize("stage", [REFERENCE_STAGE, HEAD_STAGE])
def test_a_leaking_head_is_declined_unless_the_device_accepts_it(
    tmp_path: Path, stage: str
) -> None:
    spec = specification("self-attention", dimension=33)
    clips = made_up_clips(dimension=33)
    asked = request(spec, stage)
    why = refusal(device(tmp_path / "one", clips, spec), asked)
    assert why is not None
    assert "query_projection, key_projection" in why
    assert refusal(device(tmp_path / "two", clips, spec, accept_leak=True), asked) is None
    small = specification("self-attention")
    folder = device(tmp_path / "three", made_up_clips(), small)
    assert refusal(folder, request(small, stage)) is None


def test_a_device_that_declines_sends_nothing_and_keeps_why(tmp_path: Path) -> None:
    folder = store(tmp_path, exposure_share=0.1)
    assert answer(folder, request(SPEC, HEAD_STAGE), run=1) is None
    told = (folder.path / "errors.log").read_text()
    assert told.startswith("round 1 declined: after it 7 exact mixtures")
    assert answer(folder, request(SPEC, REFERENCE_STAGE), run=1) is not None


@pytest.mark.parametrize("stage", [REFERENCE_STAGE, HEAD_STAGE])
def test_a_device_of_secure_sums_sends_nothing_bare(tmp_path: Path, stage: str) -> None:
    """Over the head of a sum a bare update would take the device's part out of the sum."""
    folder = store(tmp_path, bare_updates=False)
    assert answer(folder, request(SPEC, stage), run=1) is None
    assert (
        "declined: the server asks for an update as it is"
        in (folder.path / "errors.log").read_text()
    )
    assert refusal(folder, request(SPEC, stage), stay=17) is None


def test_what_was_declined_is_in_the_folders_log(tmp_path: Path) -> None:
    folder = store(tmp_path)
    folder.note_declined("round 3", "too much")
    assert (folder.path / "errors.log").read_text() == "round 3 declined: too much\n"


def test_an_entrys_part_says_all_that_the_budget_reads() -> None:
    asked = request(SPEC, HEAD_STAGE, round=4)
    told = exposure_part(
        asked,
        CLIPS,
        secure_sum={"stay": 17, "members": 20, "session": "ab"},
        noise={"multiplier": 4.84, "seeded": False},
        clip_norm=0.3,
    )
    assert told == {
        "own_clips": 32,
        "combinations": combinations(SPEC.branch_shapes()),
        "basis": basis_of(asked, CLIPS),
        "secure_sum": {"stay": 17, "members": 20, "session": "ab"},
        "noise": {"multiplier": 4.84, "seeded": False},
        "clip_norm": 0.3,
    }
    found = exposure([{"stage": "head", "arrays": [], **told}], 32, FLEET_LIMITS)
    assert (found.noised, found.open_combinations, found.most_clips) == (1, 0, 32)


@pytest.mark.parametrize("told", [{"secure_sum": {"stay": 17}}, {"noise": {"multiplier": 1.0}}])
def test_a_part_that_lacks_a_key_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="should be"):
        exposure_part(request(SPEC, HEAD_STAGE), CLIPS, **told)
