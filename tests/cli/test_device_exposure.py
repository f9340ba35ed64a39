"""`mien device exposure`: limits are changed, kept and told; nonsense is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.vault.keys import KeyFile
from client.vault.vault import Vault, unlock
from tests.cli.command import Command


@pytest.fixture
def mien(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    monkeypatch.setenv("MIEN_DEVICE", str(tmp_path / "device"))
    command = Command(monkeypatch, capsys)
    assert command("device", "init", "--key-file", str(tmp_path / "key")).code == 0
    return command


def test_limits_are_changed_and_kept(mien: Command) -> None:
    first = json.loads(mien("device", "exposure", "--json").out)
    assert (first["limits"]["share"], first["limits"]["epsilon"]) == (0.25, 8.0)
    assert mien("device", "exposure", "--share", "0.5", "--epsilon", "none").code == 0
    assert mien("device", "exposure", "--accept-leak").code == 0
    told = json.loads(mien("device", "status", "--json").out)["vault"]["exposure"]
    assert (told["limits"]["share"], told["limits"]["epsilon"]) == (0.5, None)
    assert told["accept_leak"] is True
    back = mien("device", "exposure", "--share", "default", "--refuse-leak", "--json")
    told = json.loads(back.out)
    assert (told["limits"]["share"], told["accept_leak"]) == (0.25, False)


def test_bare_updates_are_refused_until_they_are_allowed(mien: Command) -> None:
    assert json.loads(mien("device", "exposure", "--json").out)["limits"]["bare_updates"] is False
    assert "without a secure sum" in mien("device", "exposure", "--bare-updates", "allow").out
    assert "without a secure sum" in mien("device", "exposure", "--share", "0.1").out
    assert "without a secure sum" not in mien("device", "exposure", "--bare-updates", "refuse").out


def test_the_status_says_what_left_and_what_was_declined(mien: Command, tmp_path: Path) -> None:
    folder = tmp_path / "device"
    with Vault(folder, unlock(folder, KeyFile(tmp_path / "key"))) as vault:
        vault.set_setting(
            "exposure_declined", {"at": "today", "about": "round 3", "text": "too much"}
        )
    words = mien("device", "status").out
    assert "Exposure: No update of this device has left." in words
    assert "Budget: mixtures of below 25% and epsilon 8 under noise" in words
    assert "Declined round 3: too much (today)" in words


@pytest.mark.parametrize(
    ("option", "value"),
    [("--share", "much"), ("--share", "-1"), ("--epsilon", "nan"), ("--bare-updates", "on")],
)
def test_nonsense_is_refused_and_nothing_changes(mien: Command, option: str, value: str) -> None:
    done = mien("device", "exposure", option, value)
    assert (done.code, done.out) == (2, "")
    assert option[2:] in done.err
    told = json.loads(mien("device", "exposure", "--json").out)
    assert (told["limits"]["share"], told["limits"]["epsilon"]) == (0.25, 8.0)
