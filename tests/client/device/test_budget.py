"""The budget in the vault: what an owner sets, and what an owner is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.device.budget import (
    accepts_leak,
    exposure_limits,
    exposure_status,
    note_declined,
    set_accept_leak,
    set_exposure_limits,
)
from client.device.described import release_row
from client.device.device import Device
from client.exposure import FLEET_LIMITS, NO_LIMITS, ExposureLimits
from client.vault.device_store import VaultStore
from client.vault.vault import Vault
from common.errors import UsageError
from tests.client.vault.support import a_clip, a_user, new_vault, some_arrays

ENTRY = {
    "stage": "head",
    "arrays": [{"name": "user.weight", "shape": [8, 5]}],
    "own_clips": 40,
    "combinations": 7,
}


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return new_vault(tmp_path)


@pytest.mark.parametrize("limits", [NO_LIMITS, ExposureLimits(share=0.5, epsilon=2.0)])
def test_limits_are_the_fleets_until_the_owner_sets_others(
    vault: Vault, limits: ExposureLimits
) -> None:
    assert exposure_limits(vault) == FLEET_LIMITS
    set_exposure_limits(vault, limits)
    found = exposure_limits(vault)
    assert found == limits == VaultStore(vault).exposure_limits()
    set_exposure_limits(vault, FLEET_LIMITS)
    assert exposure_limits(vault) == FLEET_LIMITS


def test_a_leak_is_accepted_only_by_the_owners_word(vault: Vault) -> None:
    assert not accepts_leak(vault)
    vault.set_setting("accept_leak", "no")
    assert not accepts_leak(vault)
    set_accept_leak(vault, True)
    assert accepts_leak(vault)


def test_the_status_counts_clips_of_those_who_help(vault: Vault) -> None:
    for name, federate in (("Ada", True), ("Ben", False)):
        user = a_user(name, federate=federate)
        vault.save_user(user)
        for number in range(3):
            clip = a_clip(user, number + 10 * federate, label=1, spec="made-up")
            vault.add_clip(clip, some_arrays())
    vault.set_setting("features", "made-up")
    vault.ledger.append(ENTRY)
    told = Device(vault).status()["exposure"]
    assert (told["clips"], told["combinations"], told["revealed"]) == (3, 7, 3)
    Device(vault).pause(True)
    assert Device(vault).status()["exposure"] == told
    json.dumps(told)


def test_without_clips_left_those_that_left_count(vault: Vault) -> None:
    told = exposure_status(vault, [ENTRY])
    assert (told["clips"], told["share"], told["declined"]) == (40, 7 / 40, None)
    assert told["words"].startswith("1 update(s) of up to 40 clips left this device")


def test_the_newest_declined_round_is_told(vault: Vault) -> None:
    for number in (3, 4):
        VaultStore(vault).note_declined(f"round {number}", "too much")
    note_declined(vault, "round 5", "too much")
    told = exposure_status(vault, [])["declined"]
    assert (told["about"], told["text"]) == ("round 5", "too much")


def test_a_protected_release_is_told_in_numbers() -> None:
    summed = {"stay": 17, "members": 20, "session": "ab"}
    row = release_row(
        {**ENTRY, "noise": {"multiplier": 2.5, "seeded": False}, "secure_sum": summed}
    )
    assert (row["clips"], row["noise"], row["members"]) == (40, 2.5, 20)
    plain = release_row({**ENTRY, "clips": 5, "own_clips": 5, "noise": None})
    assert (plain["clips"], plain["noise"], plain["members"]) == (5, None, None)


def test_a_damaged_limit_is_refused_not_ignored(vault: Vault) -> None:
    vault.set_setting("bare_updates", "maybe")
    with pytest.raises(UsageError, match="bare-updates"):
        exposure_limits(vault)
    vault.set_setting("exposure_share", "much")
    with pytest.raises(UsageError, match="exposure-share"):
        exposure_limits(vault)
