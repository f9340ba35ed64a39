"""Secure sums, the fleet's default, on real processes: a server that was killed in the last step.

What a killed server leaves is its files and its devices'. They are made here without Flower, up to
the moment in which shares are asked for; then SuperLink, server app and nodes start, with new ids.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from client.rounds import answer
from client.secure_aggregation.identity import keep_known
from client.secure_aggregation.replay import EVENT
from client.sum_rounds import answer_sum
from common.enrolment.introduction import write_introduction
from common.heads.universal import initial_head
from common.messages import Request, SumRequest
from common.secure_aggregation import steps
from common.update import HeadUpdate
from server.aggregation import initial_state, step
from server.checkpoint import load_checkpoint
from server.federation import with_reference
from server.fleet.rounds import CHECKPOINT
from server.secure_aggregation.collecting import SumCollector
from server.secure_aggregation.outcome import Answers
from server.secure_aggregation.unfinished import FILE, OnDisk, Unfinished
from server.strategies import strategy_of
from tests.server.fleet.devices import PLAN, SPECIFICATION, Device, Fleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DEVICES = 3
SUMS = replace(PLAN, secure_sum=True, smallest_sum=DEVICES)
PUBLIC = initial_head(SPECIFICATION, 0)
STATE = with_reference(initial_state(initial_head(SPECIFICATION, SUMS.seed)), PUBLIC)
REQUEST = Request(SUMS, "head", STATE.round, STATE.head)


class Killed(Exception):
    """The server is no more."""


def introduction(fleet: Fleet, device: Device, identity: Ed25519PrivateKey) -> bytes:
    registry = fleet.authority.devices
    (certificate,) = registry.certificates(registry.active(device.name))
    key = load_ssh_private_key((device.folder / "key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return write_introduction(identity.public_key().public_bytes_raw(), certificate, key)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("needs nginx (Debian: apt install nginx-light)")
    begun = Fleet(tmp_path, DEVICES, deadline=120.0, plan=SUMS, reference=PUBLIC)
    keys = [Ed25519PrivateKey.generate() for _ in range(DEVICES)]
    paired = zip(begun.devices, keys, strict=True)
    known = [introduction(begun, device, key) for device, key in paired]
    for device, key, own in zip(begun.devices, keys, known, strict=True):
        keep_known(device.state.path, key, known, own)
    try:
        yield begun
    finally:
        begun.end()


def killed_as_it_asks_for_shares(fleet: Fleet) -> Unfinished:
    """One device's shares have left it, and are lost with the server."""

    def carry(step: str, payloads: Mapping[int, bytes]) -> Answers:
        head = REQUEST.head if step == steps.MASK else None
        answers = Answers({})
        for address, payload in payloads.items():
            asked = SumRequest(SUMS, SPECIFICATION, REQUEST.stage, 1, step, payload, head)
            told = answer_sum(fleet.devices[address].state, asked)
            if step == steps.REVEAL:
                raise Killed
            assert told is not None
            answers.payloads[address] = told
        return answers

    place = OnDisk(fleet.folder.federation / FILE)
    with pytest.raises(Killed):
        SumCollector(carry, {}, place).collect(REQUEST, range(DEVICES))
    kept = place.read()
    assert kept is not None
    return kept


def test_a_sum_whose_shares_were_asked_for_survives_the_server(fleet: Fleet) -> None:
    """All three members are needed: threshold and smallest sum are their number."""
    before = killed_as_it_asks_for_shares(fleet)
    fleet.want(1)
    fleet.start()
    fleet.await_rounds(1, patience=800)

    after = OnDisk(fleet.folder.federation / FILE).read()
    assert after is not None
    assert after.session == before.session
    assert not set(after.addresses) & set(before.addresses), "the nodes have other ids"
    for device in fleet.devices:
        events = [entry.get("event") for entry in device.state.ledger.entries()]
        assert events.count(EVENT) == 1
    (report,) = fleet.reports()
    assert (report["accepted"], report["secure_sum"]) == (DEVICES, True)

    bare = replace(REQUEST, plan=replace(SUMS, secure_sum=False))
    answers = [answer(device.state, bare, run=0) for device in fleet.devices]
    updates = [each for each in answers if isinstance(each, HeadUpdate)]
    expected = step(STATE, updates, stage="head", strategy=strategy_of(bare.plan)).head
    state = load_checkpoint(fleet.folder.federation / CHECKPOINT, SUMS)
    assert state is not None
    for name, array in expected.arrays.items():
        np.testing.assert_allclose(state.head.arrays[name], array, atol=1e-4, err_msg=name)
