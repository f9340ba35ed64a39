"""Who gets in: unregistered and revoked devices do not, and devices trust no other server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from client.rounds import answer
from common.enrolment.keys import device_key, private_openssh
from common.heads.universal import UniversalHead, initial_head
from common.messages import Request
from common.processes import end_session
from common.update import HeadUpdate
from server.aggregation import initial_state, step
from server.authority.authority import Authority
from server.authority.certificates import server_certificate
from server.authority.secrets import read_ec_key
from server.checkpoint import load_checkpoint
from server.fleet.rounds import CHECKPOINT
from server.fleet.status import fleet_status
from server.strategies import strategy_of
from tests.server.fleet.devices import PLAN, SPECIFICATION, Fleet

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if not (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")):
        pytest.skip("needs nginx (Debian: apt install nginx-light)")
    started = Fleet(tmp_path_factory.mktemp("admission"), 3, deadline=60.0)
    try:
        started.start_server()
        started.await_that((started.folder.service / "service.json").exists)
        yield started
    finally:
        started.end()


def states(fleet: Fleet) -> dict[str, str]:
    return {device.name: device.status for device in fleet_status(fleet.root).devices}


def awaited(there: Callable[[], bool], patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def refused(fleet: Fleet, number: int) -> str:
    """What a SuperNode says that does not get in; it ends by itself, with an error."""
    device = fleet.devices[number]
    log = device.folder / "log"
    before = len(log.read_text()) if log.exists() else 0
    device.start()
    process = device.process
    assert process is not None
    try:
        awaited(lambda: process.poll() is not None or "etrying" in log.read_text()[before:], 60)
        assert process.poll() != 0
    finally:
        end_session(process)
        device.process = None
    return log.read_text()[before:]


def test_a_key_that_is_not_registered_gets_no_work(fleet: Fleet) -> None:
    key = fleet.devices[2].folder / "key"
    registered = key.read_text()
    try:
        key.write_text(private_openssh(device_key()))
        told = refused(fleet, 2)
        assert "Failed to initialize the connection" in told or "2004" in told
        assert states(fleet)["device-2"] != "online"
    finally:
        key.write_text(registered)


def served(fleet: Fleet, authority: Authority, made: datetime) -> None:
    """Let the proxy show a certificate that `authority` signed for the server's own key."""
    key = read_ec_key(fleet.root / "server/server.key").public_key()
    ca_key = read_ec_key(authority.folder / "ca/ca.key")
    certificate = server_certificate(authority.ca, ca_key, key, ("localhost",), made)
    shown(fleet, certificate.public_bytes(Encoding.PEM))


def shown(fleet: Fleet, content: bytes) -> None:
    before = reloads(fleet)
    (fleet.root / "server/server.crt").write_bytes(content)
    awaited(lambda: reloads(fleet) > before)
    time.sleep(1.0)  # nginx starts a new worker


def reloads(fleet: Fleet) -> int:
    return fleet._log.read_text().count("the proxy was reloaded")


def test_a_server_with_another_or_an_ended_certificate_is_not_trusted(
    fleet: Fleet, tmp_path: Path
) -> None:
    own = (fleet.root / "server/server.crt").read_bytes()
    other = Authority.create(tmp_path / "other", address="localhost:8443")
    now, long_ago = datetime.now(UTC), datetime.now(UTC) - timedelta(days=3650)
    try:
        for authority, made in ((other, now), (fleet.authority, long_ago)):
            served(fleet, authority, made)
            assert "certificate verify failed" in refused(fleet, 1).lower()
            assert states(fleet)["device-1"] != "online"
    finally:
        shown(fleet, own)


def planted(fleet: Fleet, done: UniversalHead) -> list[bytes]:
    """Four neighbouring floats of each array of each device's update of round 1, as bytes."""
    state = initial_state(initial_head(SPECIFICATION, PLAN.seed))
    for round, stage in enumerate(("reference", "head")):
        request = Request(PLAN, stage, round, state.head)
        answers = [answer(device.state, request, run=0) for device in fleet.devices]
        updates = [each for each in answers if isinstance(each, HeadUpdate)]
        state = step(state, updates, stage=stage, strategy=strategy_of(PLAN))
    for name, array in state.head.arrays.items():
        np.testing.assert_array_equal(done.arrays[name], array, err_msg="other updates were sent")
    found = [pattern(array) for update in updates for array in update.arrays.values()]
    return [each for each in found if each]


def pattern(array: np.ndarray) -> bytes:
    """Its first four values as bytes; nothing where they are not four different ones."""
    values = np.ascontiguousarray(array, "<f4").ravel()[:4]
    return values.tobytes() if len(set(values.tolist()) - {0.0}) == 4 else b""


def holding(folders: list[Path], patterns: list[bytes]) -> list[str]:
    """Files in which one of the patterns is."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and any(each in path.read_bytes() for each in patterns):
                found.append(path.name)
    return found


def test_updates_leave_no_bytes_and_a_revoked_device_gets_no_further_work(fleet: Fleet) -> None:
    for device in fleet.devices:
        device.start()
    fleet.want(1)
    fleet.await_rounds(1)
    state = load_checkpoint(fleet.folder.federation / CHECKPOINT, PLAN)
    assert state is not None
    searched = [fleet.root, fleet.root.parent / "tmp"]
    heads = [each for each in map(pattern, state.head.arrays.values()) if each]
    assert CHECKPOINT in holding(searched, heads), "the search finds nothing at all"
    patterns = planted(fleet, state.head)
    assert len(patterns) >= len(fleet.devices)
    assert holding(searched, patterns) == []

    # Revoked while it is connected: out within seconds, and the next round is without it.
    fleet.authority.revoke("device-0", "test")
    awaited(lambda: states(fleet)["device-0"] == "revoked")
    log = fleet._log
    awaited(lambda: "device-0 was revoked and may take part no more" in log.read_text(), 20)
    device = fleet.devices[0]
    assert device.process is not None
    awaited(lambda: device.process is not None and device.process.poll() is not None, 60)
    device.process = None
    assert "device-0" not in online(fleet)
    told = refused(fleet, 0)
    assert "Failed to initialize the connection" in told


def online(fleet: Fleet) -> set[str]:
    return {name for name, state in states(fleet).items() if state == "online"}
