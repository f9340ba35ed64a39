"""Who gets through: real certificates, verified by OpenSSL over loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from common.enrolment.bundle import Bundle
from common.enrolment.keys import certificate_request, device_key
from server.authority import Authority
from server.authority.certificates import BACKDATED
from tests.server.authority.tls import client_context, fleet, server_context, shake

DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return fleet(tmp_path / "fleet")


def enrolled(
    authority: Authority, name: str = "dev-a", *, now: datetime | None = None
) -> tuple[Bundle, ec.EllipticCurvePrivateKey]:
    key = device_key()
    return authority.add_device(name, certificate_request(key, name).encode(), now=now), key


def meet(
    authority: Authority, bundle: Bundle, key: ec.EllipticCurvePrivateKey, host: str = "localhost"
) -> str:
    folder = authority.folder
    return shake(server_context(folder), client_context(folder.parent, bundle, key), host)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_an_enrolled_device_gets_through(authority: Authority, host: str) -> None:
    assert meet(authority, *enrolled(authority), host) == ""


def test_a_server_of_another_name_is_refused_by_the_device(authority: Authority) -> None:
    assert "Hostname mismatch" in meet(authority, *enrolled(authority), "other.example")


def test_without_a_certificate_nobody_gets_through(authority: Authority) -> None:
    bundle, key = enrolled(authority)
    bare = client_context(authority.folder.parent, bundle, key, certificate=False)
    assert "did not return a certificate" in shake(server_context(authority.folder), bare)


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    long_ago = datetime.now(UTC) - 366 * DAY
    assert "certificate has expired" in meet(authority, *enrolled(authority, now=long_ago))


def test_clocks_may_be_off_by_a_day(authority: Authority) -> None:
    """Issued a day in the future, as for a device whose clock is a day slow; three are too many."""
    ahead = datetime.now(UTC) + DAY
    assert BACKDATED > DAY
    assert meet(authority, *enrolled(authority, now=ahead)) == ""
    far = enrolled(authority, "dev-b", now=ahead + 2 * DAY)
    assert "not yet valid" in meet(authority, *far)


def test_a_device_of_another_fleet_is_refused_by_the_server(
    authority: Authority, tmp_path: Path
) -> None:
    other = fleet(tmp_path / "other")
    bundle, key = enrolled(other)
    own = client_context(tmp_path, bundle, key)
    own.load_verify_locations(authority.folder / "ca/ca.crt")  # it trusts both
    assert "server: " in shake(server_context(authority.folder), own)


def test_a_server_of_another_fleet_is_refused_by_the_device(
    authority: Authority, tmp_path: Path
) -> None:
    other = fleet(tmp_path / "other")
    bundle, key = enrolled(authority)
    found = shake(server_context(other.folder), client_context(tmp_path, bundle, key))
    assert "client: " in found
    assert "certificate verify failed" in found


def test_a_revoked_device_is_refused_and_no_other(authority: Authority) -> None:
    one, other = enrolled(authority), enrolled(authority, "dev-b")
    renewed = authority.renew("dev-a"), one[1]
    authority.revoke("dev-a", "lost")
    assert "certificate revoked" in meet(authority, *one)
    assert "certificate revoked" in meet(authority, *renewed)
    assert meet(authority, *other) == ""
    again = enrolled(authority)  # the name, with another key
    assert meet(authority, *again) == ""


def test_renewal_has_no_gap(authority: Authority) -> None:
    """A certificate that ends tomorrow and its successor are good at the same time."""
    first, key = enrolled(authority, now=datetime.now(UTC) - 364 * DAY)
    second = authority.renew("dev-a")
    assert meet(authority, first, key) == ""
    assert meet(authority, second, key) == ""
    assert second.private_key is None


def test_the_server_certificate_is_renewed_under_the_same_key(authority: Authority) -> None:
    bundle, key = enrolled(authority)
    before = authority.server
    authority.renew_server()
    assert authority.server.serial_number != before.serial_number
    assert authority.server.public_key() == before.public_key()
    assert meet(authority, bundle, key) == ""
    authority.renew_server(["localhost", "fleet.example"])
    assert meet(authority, bundle, key, "fleet.example") == ""
    assert "mismatch" in meet(authority, bundle, key, "127.0.0.1")


def test_a_device_can_not_serve_and_the_server_is_no_device(
    authority: Authority, tmp_path: Path
) -> None:
    bundle, key = enrolled(authority)
    client = client_context(tmp_path, bundle, key)
    posing = server_context(authority.folder)
    posing.load_cert_chain(tmp_path / "device.pem")
    client.check_hostname = False
    assert "unsuitable certificate purpose" in shake(posing, client)
    client.load_cert_chain(
        authority.folder / "server/server.crt", authority.folder / "server/server.key"
    )
    assert "server: " in shake(server_context(authority.folder), client)
