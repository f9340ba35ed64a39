"""A federation's folder: settled once, wanted again and again, damage said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import UsageError, WorkError
from server.fleet.begin import default_settings
from server.fleet.folder import SETTINGS, FederationSettings, FleetFolder, Wanted
from server.fleet.rounds import CHECKPOINT
from tests.server.fleet.fakes import plan_of, rounds


def settings(**changes: object) -> FederationSettings:
    chosen: dict[str, object] = {
        "backbone": "mini-xception",
        "head": "logistic",
        "strategy": "fedavg",
        "quorum": 3,
        "deadline": 60.0,
    }
    return default_settings(**{**chosen, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["fedavg", "multikrum", "fedmedian"])
@pytest.mark.parametrize("head", ["logistic", "single-attention"])
def test_what_was_settled_comes_back(tmp_path: Path, head: str, strategy: str) -> None:
    folder = FleetFolder(tmp_path)
    assert not folder.begun
    folder.begin(settings(head=head, strategy=strategy))
    assert folder.begun
    assert FleetFolder(tmp_path).settings() == settings(head=head, strategy=strategy)


def test_settings_are_settled_once(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path)
    folder.begin(settings())
    folder.begin(settings())
    with pytest.raises(UsageError, match="holds a federation with other settings"):
        folder.begin(settings(quorum=4))
    assert folder.settings() == settings()


def test_settings_from_before_over_sampling_can_be_read(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path)
    folder.begin(settings(over_sample=1.3))
    assert folder.settings().over_sample == 1.3
    path = folder.federation / SETTINGS
    told = json.loads(path.read_text())
    del told["over_sample"]
    path.write_text(json.dumps(told))
    assert folder.settings() == settings()


def test_a_round_is_done_with_its_checkpoint_not_with_its_report(tmp_path: Path) -> None:
    """Killed between the two, the server must not take the round for done."""
    folder = FleetFolder(tmp_path)
    wanted = plan_of("fedavg", rounds=2)
    assert folder.rounds_done() == 0
    rounds(folder.federation, wanted).run()
    assert folder.rounds_done() == 2
    before = (folder.federation / CHECKPOINT).read_bytes()
    rounds(folder.federation, plan_of("fedavg", rounds=3)).run()
    assert folder.rounds_done() == 3
    (folder.federation / CHECKPOINT).write_bytes(before)
    assert folder.rounds_done() == 2
    (folder.federation / CHECKPOINT).write_bytes(before[:-9])
    with pytest.raises(WorkError, match="not a readable checkpoint"):
        folder.rounds_done()


def test_nothing_has_begun(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path)
    with pytest.raises(WorkError, match="begin one: mien server rounds start"):
        folder.settings()
    assert (folder.wanted(), folder.rounds_done(), folder.run_note()) == (Wanted(0), 0, {})


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path)
    folder.begin(settings())
    for content in ("{", "{}", '{"format": 9}', "[]"):
        (folder.federation / SETTINGS).write_text(content)
        with pytest.raises(WorkError, match=rf"{SETTINGS} can't be"):
            folder.settings()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backbone": "none"}, "no backbone"),
        ({"head": "none"}, "head is 'none'"),
        ({"strategy": "none"}, "strategy is 'none'"),
        ({"quorum": 0}, "quorum is 0"),
        ({"deadline": 0.0}, "deadline is 0"),
        ({"deadline": float("nan")}, "deadline is nan"),
    ],
)
def test_what_can_not_be_settled_is_said(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        settings(**changes)


def test_what_is_wanted_is_kept(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path)
    folder.want(Wanted(7))
    folder.want(replace(folder.wanted(), paused=True))
    assert FleetFolder(tmp_path).wanted() == Wanted(7, paused=True)
    folder.note_run({"run": 5, "status": "started"})
    assert folder.run_note()["status"] == "started"


def test_a_head_that_leaks_is_settled_only_with_the_operators_word(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--accept-leak"):
        settings(head="self-attention")
    folder = FleetFolder(tmp_path)
    folder.begin(settings(head="self-attention", accept_leak=True))
    assert folder.settings().accept_leak
    path = folder.federation / SETTINGS
    path.write_text(path.read_text().replace('"accept_leak": true', '"accept_leak": 0'))
    with pytest.raises(WorkError, match="accept-leak"):
        folder.settings()
