"""`mien server rounds abandon`, as an operator types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.server import app
from common.errors import UsageError
from server.fleet.begin import Protection, default_settings
from server.fleet.folder import FleetFolder
from server.secure_aggregation.unfinished import FILE, OnDisk, Unfinished


@pytest.fixture
def fleet(tmp_path: Path) -> FleetFolder:
    begun = FleetFolder(tmp_path)
    begun.begin(
        default_settings(
            backbone="mini-xception",
            head="logistic",
            strategy="fedavg",
            quorum=3,
            deadline=60.0,
            protection=Protection(smallest_sum=3),
        )
    )
    return begun


def waits_for_shares(fleet: FleetFolder, round: int) -> OnDisk:
    place = OnDisk(fleet.federation / FILE)
    place.write(
        Unfinished(
            head="00",
            stage="reference",
            round=round,
            invitation="",
            addresses=[1, 2, 3],
            aggregator={"session": "a1"},
            signatures="",
            signed=[1, 2, 3],
            revealed={"1": "00", "3": "00"},
        )
    )
    return place


def abandon(fleet: FleetFolder) -> str:
    words = ["rounds", "abandon", "--folder", str(fleet.root)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_the_operator_is_told_what_becomes_of_the_round(fleet: FleetFolder) -> None:
    place = waits_for_shares(fleet, round=0)
    assert abandon(fleet) == (
        "The secure sum of round 0 is given up. Devices that gave their shares for it (2 came) "
        "stay out of this round."
    )
    assert place.read() is None


def test_a_sum_of_another_round_is_over_and_stays(fleet: FleetFolder) -> None:
    place = waits_for_shares(fleet, round=4)
    with pytest.raises(UsageError, match="waits for its members' shares"):
        abandon(fleet)
    assert place.read() is not None
