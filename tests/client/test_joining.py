"""Joining a fleet: the key stays on the device, the operator is pinned, renewals change no more."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.adoption import adopt
from client.daemon.settings import load_settings
from client.daemon.supernode import check_files
from client.joining import FLEET_FOLDER, KEY_FILE, join, leave, read_bundle, signing_request
from client.membership import adopted, membership
from common.enrolment.bundle import Bundle, BundleRefused, fingerprint_of
from common.errors import UsageError
from common.releases.errors import RollBack
from server.authority.authority import Authority
from server.registry import Publication
from tests.client.fleet_device import SPECIFICATION, draft, make_device, opened


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "fleet", address="localhost:8443")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_device(tmp_path)


def publish(authority: Authority, count: int) -> None:
    for number in range(1, count + 1):
        done = len(authority.registry.history())
        arrays = draft(float(done + number)).arrays
        authority.publish(
            Publication(specification=SPECIFICATION, arrays=arrays, round=done, metrics={})
        )


def enrolled(authority: Authority, folder: Path, name: str = "kitchen") -> Bundle:
    return authority.add_device(name, signing_request(folder).encode())


def joined(folder: Path, bundle: Bundle) -> bool:
    with opened(folder) as vault:
        return join(vault, bundle).renewed


def test_the_key_is_made_once_and_only_its_owner_can_read_it(folder: Path) -> None:
    first = signing_request(folder)
    path = folder / FLEET_FOLDER / KEY_FILE
    key = path.read_bytes()
    assert "PRIVATE" not in first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    signing_request(folder)
    assert path.read_bytes() == key


def test_a_device_that_joined_is_set_up_for_its_supernode(
    authority: Authority, folder: Path
) -> None:
    bundle = enrolled(authority, folder)
    assert bundle.private_key is None
    assert joined(folder, bundle) is False
    fleet = load_settings(folder).fleet
    assert fleet is not None
    check_files(fleet)
    assert (fleet.address, fleet.insecure) == ("localhost:8443", False)
    assert Path(fleet.root_certificates).read_text() == bundle.ca
    with opened(folder) as vault:
        member = membership(vault)
    assert member is not None
    assert (member.fleet, member.device) == (bundle.fleet, "kitchen")
    assert (member.key, member.operator_key) == (bundle.signing_key, bundle.operator_key)


def test_a_bundle_with_a_key_is_taken_whatever_key_was_there(
    authority: Authority, folder: Path
) -> None:
    signing_request(folder)
    bundle = authority.add_device("kitchen")
    joined(folder, bundle)
    path = folder / FLEET_FOLDER / KEY_FILE
    assert path.read_text() == bundle.private_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_operators_fingerprint_decides(authority: Authority, folder: Path) -> None:
    path = folder.parent / "bundle.json"
    bundle = enrolled(authority, folder)
    path.write_text(bundle.to_json())
    assert read_bundle(path, fingerprint_of(bundle.operator_key)) == bundle
    with pytest.raises(BundleRefused, match="expected 0000"):
        read_bundle(path, "0000")
    path.write_text(bundle.to_json().replace("localhost:8443", "localhost:8444"))
    with pytest.raises(BundleRefused, match="was changed"):
        read_bundle(path, None)
    with pytest.raises(UsageError, match="can't be read"):
        read_bundle(path.with_name("none"), None)


def test_a_renewal_keeps_key_and_what_was_adopted(authority: Authority, folder: Path) -> None:
    joined(folder, enrolled(authority, folder))
    publish(authority, 1)
    key = (folder / FLEET_FOLDER / KEY_FILE).read_bytes()
    with opened(folder) as vault:
        adopt(vault, authority.registry.path(1).read_bytes())
        before = adopted(vault)
    assert joined(folder, authority.renew("kitchen")) is True
    assert (folder / FLEET_FOLDER / KEY_FILE).read_bytes() == key
    with opened(folder) as vault:
        assert adopted(vault) == before


def test_a_renewal_brings_a_device_forward_that_was_away_for_long(
    authority: Authority, folder: Path
) -> None:
    joined(folder, enrolled(authority, folder))
    publish(authority, 1)
    with opened(folder) as vault:
        adopt(vault, authority.registry.path(1).read_bytes())
    publish(authority, 2)
    joined(folder, authority.renew("kitchen"))
    with opened(folder) as vault:
        with pytest.raises(RollBack):
            adopt(vault, authority.registry.path(2).read_bytes())
        assert adopt(vault, authority.registry.path(3).read_bytes()).sequence == 3


def test_an_old_bundle_does_not_lower_the_floor(authority: Authority, folder: Path) -> None:
    old = enrolled(authority, folder)
    publish(authority, 2)
    joined(folder, authority.renew("kitchen"))
    joined(folder, old)
    with opened(folder) as vault:
        member = membership(vault)
    assert member is not None
    assert member.floor == 2


def test_another_fleets_operators_or_devices_bundle_is_refused(
    authority: Authority, folder: Path, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path / "other", address="localhost:1")
    same_name = Authority.create(
        tmp_path / "same", address="localhost:1", fleet=authority.settings.fleet
    )
    with pytest.raises(UsageError, match="made none; begin with"):
        joined(folder, _bundle_of_other(authority, tmp_path))
    joined(folder, enrolled(authority, folder))
    with pytest.raises(UsageError, match="leave the one first"):
        joined(folder, enrolled(other, folder))
    with pytest.raises(BundleRefused, match="pinned"):
        joined(folder, enrolled(same_name, folder))
    with pytest.raises(UsageError, match="another key than this device's"):
        joined(folder, _bundle_of_other(authority, tmp_path, "third"))
    settings = load_settings(folder).fleet
    assert settings is not None
    assert settings.address == "localhost:8443"


def _bundle_of_other(authority: Authority, root: Path, name: str = "second") -> Bundle:
    """The bundle of another device, whose key this one does not have."""
    (root / name).mkdir()
    return enrolled(authority, make_device(root / name), name)


@pytest.mark.parametrize("days", [-30, 400])
def test_a_certificate_that_is_not_good_now_is_refused(
    authority: Authority, folder: Path, days: int
) -> None:
    bundle = enrolled(authority, folder)
    with opened(folder) as vault:
        with pytest.raises(UsageError, match="set the clock, or ask the operator"):
            join(vault, bundle, now=datetime.now(UTC) + timedelta(days=days))
        assert membership(vault) is None
    assert "fleet" not in json.loads((folder / "device.json").read_text())


def test_who_leaves_has_no_key_any_more_and_can_join_again(
    authority: Authority, folder: Path
) -> None:
    joined(folder, enrolled(authority, folder))
    publish(authority, 1)
    with opened(folder) as vault:
        adopt(vault, authority.registry.path(1).read_bytes())
        assert leave(vault) is not None
        assert leave(vault) is None
        assert (membership(vault), adopted(vault)) == (None, None)
        assert vault.universal() is not None
    assert not list((folder / FLEET_FOLDER).glob("*.*"))
    assert load_settings(folder).fleet is None
    joined(folder, enrolled(authority, folder, "kitchen-again"))
