"""Faults of a real fleet: whatever is killed or cut, the head is that of an undisturbed run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from client.rounds import answer
from common.heads.universal import UniversalHead
from common.messages import Request
from common.processes import command_line, end_sessions_of
from common.update import HeadUpdate
from server.checkpoint import load_checkpoint
from server.federation import Replies
from server.fleet.announcing import Announced, announced
from server.fleet.rounds import CHECKPOINT, RoundRules, Rounds, with_rounds
from server.fleet.service import running
from server.registry import Publication
from tests.server.fleet.devices import PLAN, SPECIFICATION, Device, Fleet, proxy_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROUNDS = 6


class InProcess:
    """The same devices' folders, asked without Flower."""

    def __init__(self, devices: list[Device]) -> None:
        self._devices = devices

    def ask(self, request: Request) -> Replies:
        answers = [answer(device.state, request, run=0) for device in self._devices]
        updates = tuple(each for each in answers if isinstance(each, HeadUpdate))
        return Replies(updates, 0, 0, ())


def undisturbed(fleet: Fleet, folder: Path) -> UniversalHead:
    plan = with_rounds(PLAN, ROUNDS)
    rounds = Rounds(InProcess(fleet.devices), SPECIFICATION, plan, folder, RoundRules(quorum=3))
    return rounds.run().head


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("needs nginx (Debian: apt install nginx-light)")
    started = Fleet(tmp_path, 3, deadline=60.0)
    try:
        started.start()
        yield started
    finally:
        started.end()


def test_a_fleet_that_is_killed_and_cut_makes_the_same_head(fleet: Fleet, tmp_path: Path) -> None:
    fleet.want(1)
    fleet.await_rounds(1)

    # The server is killed in a round; its programs are left behind and ended at the next start.
    fleet.want(2)
    fleet.await_that(lambda: fleet.folder.run_note().get("status") == "started")
    left = running(fleet.folder.service)["pids"]
    fleet.kill_server()
    fleet.await_rounds(2)
    assert isinstance(left, dict)
    assert not any(str(fleet.root) in command_line(pid) for pid in left.values())

    # A device is killed in a round; Flower lets it back in after about a minute.
    fleet.want(3)
    fleet.await_that(lambda: fleet.folder.run_note().get("status") == "started")
    fleet.devices[0].kill()
    fleet.await_rounds(3)

    # A device and the server are killed in one round, and both are dead at the same time.
    fleet.want(4)
    received = fleet.train_messages()
    fleet.await_that(lambda: fleet.train_messages() > received, patience=200)
    fleet.devices[1].kill()
    fleet.kill_server()
    assert fleet.folder.rounds_done() == 3, "they were not killed in the middle of the round"
    fleet.await_rounds(4)

    # The network is cut for 30 s while a device works: nothing comes through the proxy.
    fleet.want(5)
    received = fleet.train_messages()
    fleet.await_that(lambda: fleet.train_messages() > received, patience=200)
    with fleet.network_cut():
        time.sleep(30)
        assert fleet.folder.rounds_done() == 4, "the cut was not in the middle of the round"
    fleet.await_rounds(5)

    # The proxy is gone, and the network with it: the server ends and is started again.
    fleet.want(ROUNDS)
    end_sessions_of(proxy_of(fleet))
    fleet.await_rounds(ROUNDS)

    state = load_checkpoint(fleet.folder.federation / CHECKPOINT, PLAN)
    assert state is not None
    expected = undisturbed(fleet, tmp_path / "undisturbed")
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(state.head.arrays[name], array, err_msg=name)
    counted = [(report["round"], report["accepted"]) for report in fleet.reports()]
    assert counted == [(number, 3) for number in range(ROUNDS + 1)]
    rounds = [manifest.round for manifest in fleet.authority.registry.history()]
    assert rounds == list(range(1, ROUNDS + 1))

    # What is published between rounds reaches all devices without a round.
    arrays = state.head.arrays
    what = Publication(specification=SPECIFICATION, arrays=arrays, round=ROUNDS + 1, metrics={})
    sequence = fleet.authority.publish(what).sequence
    nodes = frozenset(int(each.node or 0) for each in fleet.authority.devices.all())
    fleet.await_that(lambda: announced(fleet.folder.federation) == Announced(sequence, nodes), 120)
    assert fleet.folder.rounds_done() == ROUNDS
