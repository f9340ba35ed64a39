"""The server lets nobody into a roster under a key that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.enrolment.introduction import write_introduction
from common.enrolment.keys import certificate_request, device_key
from server.authority import Authority
from server.fleet.introduced import introduced_by
from tests.server.authority.tls import fleet

NODES = {"kitchen": 7, "hall": 2**63 + 5}  # ids of Flower's are unsigned


def enrol(authority: Authority, name: str) -> ec.EllipticCurvePrivateKey:
    key = device_key()
    authority.add_device(name, certificate_request(key, name).encode())
    authority.devices.set_node(authority.devices.active(name), NODES[name])
    return key


def identity() -> bytes:
    return Ed25519PrivateKey.generate().public_key().public_bytes_raw()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return fleet(tmp_path)


def introduction(authority: Authority, name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    (certificate,) = authority.devices.certificates(authority.devices.active(name))
    return write_introduction(identity(), certificate, key)


def test_a_device_introduces_itself_and_no_other(authority: Authority) -> None:
    keys = {name: enrol(authority, name) for name in NODES}
    is_own = introduced_by(authority.devices)
    for name, key in keys.items():
        told = introduction(authority, name, key)
        assert [each for each in NODES if is_own(NODES[each], told)] == [name]
        assert not is_own(1, told)


def test_what_another_key_signed_is_nobodys(authority: Authority) -> None:
    enrol(authority, "hall")
    stranger = enrol(authority, "kitchen")
    told = introduction(authority, "hall", stranger)
    assert not any(introduced_by(authority.devices)(node, told) for node in NODES.values())
    assert not introduced_by(authority.devices)(NODES["hall"], b"\0" * 200)


def test_a_revoked_device_introduces_nobody(authority: Authority) -> None:
    told = introduction(authority, "hall", enrol(authority, "hall"))
    is_own = introduced_by(authority.devices)
    assert is_own(NODES["hall"], told)
    authority.revoke("hall", "lost")
    assert not is_own(NODES["hall"], told)
