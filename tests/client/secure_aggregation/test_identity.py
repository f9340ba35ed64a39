"""Who takes part in a sum: the fleet's own devices, each by its enrolled key, and nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from client.joining import FLEET_FOLDER, KEY_FILE, join, leave, signing_request
from client.secure_aggregation import identity
from client.secure_aggregation.identity import (
    CertifiedIdentities,
    KnownIdentities,
    keep_known,
)
from client.secure_aggregation.taking_part import answer_step
from client.vault.device_store import VaultStore
from client.vault.vault import Vault
from common.enrolment.introduction import read_introduction, write_introduction
from common.errors import WorkError
from common.messages import SumRequest
from common.secure_aggregation import steps
from common.secure_aggregation.session import SecureSumRefused
from common.settings import FederationPlan
from server.authority.authority import Authority
from server.registry import Publication
from tests.client.fleet_device import SPECIFICATION, draft, make_device, opened


def fleet(root: Path) -> Authority:
    made = Authority.create(root / "fleet", address="localhost:8443")
    arrays = draft(1.0).arrays
    made.publish(Publication(specification=SPECIFICATION, arrays=arrays, round=0, metrics={}))
    return made


def member(root: Path, authority: Authority, name: str) -> Vault:
    (root / name).mkdir()
    folder = make_device(root / name)
    bundle = authority.add_device(name, signing_request(folder).encode())
    vault = opened(folder)
    join(vault, bundle)
    return vault


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return fleet(tmp_path)


def test_members_believe_each_other_and_keep_their_keys(
    tmp_path: Path, authority: Authority
) -> None:
    with member(tmp_path, authority, "one") as one, member(tmp_path, authority, "two") as two:
        told = CertifiedIdentities(one).introduction()
        key = CertifiedIdentities(two).vouched(told).key
        assert key == CertifiedIdentities(one).own().public_key().public_bytes_raw()
        assert CertifiedIdentities(one).introduction() == told
        assert CertifiedIdentities(two).introduction()[:32] != key


def test_one_enrolled_device_is_one_member(tmp_path: Path, authority: Authority) -> None:
    """Its key may sign any number of identities; they are all the same party's."""
    with member(tmp_path, authority, "one") as one, member(tmp_path, authority, "two") as two:
        certificate = read_introduction(CertifiedIdentities(two).introduction()).certificate
        key = load_ssh_private_key((two.folder / FLEET_FOLDER / KEY_FILE).read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        invented = [CertifiedIdentities(one).introduction()]
        for _ in range(2):
            public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
            invented.append(write_introduction(public, certificate, key))
        plan = FederationPlan(
            name="fleet", rounds=1, epochs=1, learning_rate=1, l2=0, memory=0, seed=0,
            secure_sum=True, smallest_sum=3,
        )  # fmt: skip
        payload = steps.write_invitation(steps.Invitation(1, "0" * 64, tuple(invented)))
        asked = SumRequest(plan, SPECIFICATION, "head", 1, steps.ADVERTISE, payload)
        with pytest.raises(SecureSumRefused, match="are one enrolled device"):
            answer_step(
                VaultStore(one),
                asked,
                willing=lambda *_: True,
                train=lambda *_: pytest.fail("nothing is trained"),
            )


def test_a_simulated_device_may_show_more_than_its_key(tmp_path: Path) -> None:
    own = Ed25519PrivateKey.generate()
    told = own.public_key().public_bytes_raw() + b"and what vouches for it"
    (tmp_path / "device").mkdir()
    keep_known(tmp_path / "device", own, [told], told)
    known = KnownIdentities(tmp_path / "device")
    assert known.introduction() == told
    assert known.vouched(told).key == told[:32]


def test_a_renewed_certificate_makes_no_second_member(tmp_path: Path, authority: Authority) -> None:
    with member(tmp_path, authority, "one") as one:
        before = CertifiedIdentities(one).introduction()
        join(one, authority.renew("one"))
        after = CertifiedIdentities(one).introduction()
        assert before != after
        known = CertifiedIdentities(one)
        assert known.vouched(before) == known.vouched(after)


def test_a_device_of_another_fleet_is_not_believed(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "other").mkdir()
    other = fleet(tmp_path / "other")
    with member(tmp_path, authority, "one") as one, member(tmp_path, other, "two") as two:
        told = CertifiedIdentities(two).introduction()
        with pytest.raises(SecureSumRefused, match="CA does not vouch"):
            CertifiedIdentities(one).vouched(told)


def test_nothing_of_an_introduction_can_be_changed(tmp_path: Path, authority: Authority) -> None:
    """Above all not the key: a server's own would have to be signed by the device's."""
    with member(tmp_path, authority, "one") as one:
        told = CertifiedIdentities(one).introduction()
        own = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        changed = [own + told[32:], told[:-1], told[:40], b"", told + b"\0"]
        changed += [told[:at] + bytes([told[at] ^ 1]) + told[at + 1 :] for at in (0, 33, 60, -9)]
        for each in changed:
            with pytest.raises(SecureSumRefused):
                CertifiedIdentities(one).vouched(each)


def test_a_certificate_whose_time_is_over_introduces_nobody(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with member(tmp_path, authority, "one") as one:
        told = CertifiedIdentities(one).introduction()

        class Later(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=20_000)

        monkeypatch.setattr(identity, "datetime", Later)
        with pytest.raises(SecureSumRefused):
            CertifiedIdentities(one).vouched(told)


def test_a_device_that_left_says_how_to_come_back(tmp_path: Path, authority: Authority) -> None:
    with member(tmp_path, authority, "one") as one:
        leave(one)
        with pytest.raises(WorkError, match="mien device join"):
            CertifiedIdentities(one).introduction()


def test_a_simulated_device_knows_whom_its_folder_names(tmp_path: Path) -> None:
    keys = [Ed25519PrivateKey.generate() for _ in range(3)]
    public = [key.public_key().public_bytes_raw() for key in keys]
    keep_known(tmp_path, keys[0], public[:2])
    known = KnownIdentities(tmp_path)
    assert known.introduction() == public[0]
    assert known.vouched(public[1]).key == public[1]
    with pytest.raises(SecureSumRefused, match="does not know"):
        known.vouched(public[2])
    with pytest.raises(WorkError, match="no identity"):
        KnownIdentities(tmp_path / "elsewhere").own()
