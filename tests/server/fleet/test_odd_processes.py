"""Real devices that send what they should not, or live on another day: the others go on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from client.rounds import answer
from common.heads.universal import UniversalHead, initial_head
from common.messages import Request
from common.update import HeadUpdate
from server.aggregation import initial_state, step
from server.checkpoint import load_checkpoint
from server.defence import Quarantine
from server.fleet.judge import QUARANTINE
from server.fleet.rounds import CHECKPOINT
from server.fleet.status import fleet_status
from server.strategies import strategy_of
from tests.server.fleet.devices import PLAN, SPECIFICATION, Device, Fleet
from tests.server.fleet.odd_devices import clock_ahead, spoils

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
HONEST = 2
SPOILER, REPLAYER, AHEAD = 2, 3, 4
ROUNDS = 2
REFUSED = [
    {"device-2: not finite", "device-3: too long an update"},
    {"device-2: not in an update's form"},
    {"device-2: too many bytes", "device-3: an update of an earlier head"},
]
"""Of the reference and two head rounds; device-3 is honest in round 1."""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("needs nginx (Debian: apt install nginx-light)")
    started = Fleet(tmp_path, 5, deadline=300.0, quorum=HONEST)
    spoiler, replayer, ahead = (started.devices[n] for n in (SPOILER, REPLAYER, AHEAD))
    spoiler.environment = spoils(spoiler.folder, {0: "nan", 1: "shape", 2: "large"})
    replayer.environment = spoils(replayer.folder, {0: "huge", 2: "replayed"})
    ahead.environment = clock_ahead(ahead.folder, days=1)
    try:
        started.start()
        yield started
    finally:
        started.end()


def expected(devices: Sequence[Device]) -> UniversalHead:
    """The head of those whose updates may count, round by round."""
    state = initial_state(initial_head(SPECIFICATION, PLAN.seed))
    for round in range(ROUNDS + 1):
        stage = "head" if round else "reference"
        counted = (*range(HONEST), *((REPLAYER,) if round == 1 else ()))
        request = Request(PLAN, stage, round, state.head)
        answers = [answer(devices[n].state, request, run=0) for n in counted]
        updates = [each for each in answers if isinstance(each, HeadUpdate)]
        state = step(state, updates, stage=stage, strategy=strategy_of(PLAN))
    return state.head


def online(fleet: Fleet) -> set[str]:
    return {each.name for each in fleet_status(fleet.root).devices if each.status == "online"}


def test_odd_devices_are_refused_by_name_and_change_nothing(fleet: Fleet) -> None:
    fleet.await_that(lambda: len(online(fleet)) == AHEAD, patience=200)
    fleet.want(ROUNDS)
    fleet.await_rounds(ROUNDS, patience=600)

    told = [{str(r).split(" (")[0] for r in each["refused"]} for each in fleet.reports()]  # type: ignore[attr-defined]
    assert told == REFUSED
    assert [each["accepted"] for each in fleet.reports()] == [2, 3, 2]
    state = load_checkpoint(fleet.folder.federation / CHECKPOINT, PLAN)
    assert state is not None
    for name, array in expected(fleet.devices).arrays.items():
        np.testing.assert_array_equal(state.head.arrays[name], array, err_msg=name)
    cases = Quarantine(fleet.folder.federation / QUARANTINE).cases()
    assert set(cases) == {"device-2"}, "three refused updates in a row"

    assert "device-4" not in online(fleet), "its signatures are of another day"
    log = (fleet.devices[AHEAD].folder / "log").read_text()
    assert "Starting Flower SuperNode" in log
    assert "Receiving: train message" not in log
