"""The fleet's folder: made whole, closed to others, not written over; keys as Flower reads them."""

from __future__ import annotations

import argparse
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)
from flwr.cli.supernode.register import try_load_public_key
from flwr.supercore.auth import load_superexec_auth_secret
from flwr.supernode.cli.flower_supernode import _try_setup_client_authentication

from common.enrolment.bundle import Bundle, fingerprint_of
from common.enrolment.keys import (
    certificate_request,
    device_key,
    private_openssh,
    public_openssh,
    read_public_key,
)
from common.errors import UsageError, WorkError
from common.releases.adoption import Adopted
from server.authority import Authority, Device
from server.authority.certificates import RENEW_BEFORE
from server.authority.secrets import write_new
from server.registry import Publication
from tests.common.releases.made import LABELS, SPECIFICATION, arrays_of
from tests.server.authority.tls import fleet

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def request(name: str = "dev-a") -> bytes:
    return certificate_request(device_key(), name).encode()


def publication(round: int, next_key: str | None = None) -> Publication:
    return Publication(
        specification=SPECIFICATION,
        arrays=arrays_of(float(round)),
        round=round,
        metrics={},
        expressions=LABELS,
        next_key=next_key,
    )


def files(folder: Path) -> list[Path]:
    return [folder, *sorted(folder.rglob("*"))]


def test_everything_is_closed_to_other_users(tmp_path: Path) -> None:
    before = os.umask(0)  # as careless as it gets
    try:
        made = fleet(tmp_path / "fleet")
        made.add_device("dev-a", request())
        made.revoke("dev-a", "lost")
        made.publish(publication(1))
        made.new_signing_key()
        made.renew_server()
    finally:
        os.umask(before)
    names = {path.relative_to(tmp_path / "fleet").as_posix() for path in files(tmp_path / "fleet")}
    assert {"ca/ca.key", "server/server.key", "operator.key", "superexec.secret"} <= names
    assert {"settings.json", "devices.sqlite", "ca/revoked.crl", "ca/ca.crt"} <= names
    for path in files(tmp_path / "fleet"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert [path.name for path in tmp_path.iterdir()] == ["fleet"]


def test_a_fleet_is_never_written_over(tmp_path: Path) -> None:
    made = fleet(tmp_path / "fleet")
    before = {path: path.read_bytes() for path in files(made.folder) if path.is_file()}
    with pytest.raises(UsageError, match="something in it"):
        fleet(tmp_path / "fleet")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="no folder"):
        fleet(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no folder"):
        fleet(tmp_path / "link")
    assert before == {path: path.read_bytes() for path in files(made.folder) if path.is_file()}
    (tmp_path / "empty").mkdir()
    assert fleet(tmp_path / "empty").settings.fleet != made.settings.fleet


@pytest.mark.parametrize("failing", range(0, 14, 3))
def test_a_fleet_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    from server.authority import creation

    calls = iter(range(1000))

    def fail(path: Path, content: bytes) -> None:
        if next(calls) == failing:
            raise OSError(28, "No space left on device")
        write_new(path, content)

    monkeypatch.setattr(creation, "write_new", fail)
    monkeypatch.setattr("server.authority.secrets.write_new", fail)
    if failing > 8:  # there are nine files
        fleet(tmp_path / "fleet")
        return
    with pytest.raises(OSError, match="No space"):
        fleet(tmp_path / "fleet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"address": "localhost"}, "HOST:PORT"),
        ({"hosts": ["a b"]}, "neither a name nor an IP"),
        ({"hosts": ["fleet.example:8443"]}, "without a port"),
        ({"fleet": "My Fleet"}, "a-z 0-9"),
        ({"device_days": 0}, "1 to 3650"),
    ],
)
def test_settings_that_can_not_be(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    given: dict[str, object] = {"address": "localhost:1", **changes}
    with pytest.raises(UsageError, match=reason):
        Authority.create(tmp_path / "fleet", **given)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_flower_reads_the_keys(tmp_path: Path) -> None:
    """By the functions that its SuperNode, its command line and its SuperExec read keys with."""
    made = fleet(tmp_path / "fleet")
    bundle = made.add_device("dev-a")
    assert bundle.private_key is not None
    private = tmp_path / "private"
    private.write_text(bundle.private_key)
    given = argparse.Namespace(
        auth_supernode_private_key=str(private), auth_supernode_public_key=None
    )
    pair = _try_setup_client_authentication(given)
    assert pair is not None
    public = tmp_path / "public"
    public.write_text(made.devices.active("dev-a").public_key)
    assert try_load_public_key(public) == pair[1].public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    secret = load_superexec_auth_secret(str(made.folder / "superexec.secret"))
    assert secret == made.superexec_secret
    assert len(made.superexec_secret) == 64


def test_a_key_that_the_device_made(tmp_path: Path) -> None:
    made, key = fleet(tmp_path / "fleet"), device_key()
    bundle = made.add_device("dev-a", public_openssh(key.public_key()).encode())
    assert bundle.private_key is None
    certificate = x509.load_pem_x509_certificate(bundle.certificate.encode())
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == f"CN=dev-a,O={made.settings.fleet}"
    own = load_ssh_private_key(private_openssh(key).encode(), None)
    assert own.public_key() == read_public_key(made.devices.active("dev-a").public_key.encode())  # type: ignore[union-attr]


def test_no_private_key_of_a_device_stays_on_the_server(tmp_path: Path) -> None:
    made = fleet(tmp_path / "fleet")
    bundle = made.add_device("dev-a")
    body = "".join(str(bundle.private_key).splitlines()[1:-1])[100:200].encode()
    for path in files(made.folder):
        assert not path.is_file() or body not in path.read_bytes().replace(b"\n", b"")


def test_bundles_pin_the_fleet(tmp_path: Path) -> None:
    made = fleet(tmp_path / "fleet")
    bundle = Bundle.from_json(made.add_device("dev-a", request()).to_json())
    bundle.check(fingerprint_of(made.settings.operator_key))
    assert (bundle.fleet, bundle.address) == (made.settings.fleet, "localhost:8443")
    assert (bundle.signing_key, bundle.floor) == (made.settings.signing_key, 1)
    assert x509.load_pem_x509_certificate(bundle.ca.encode()) == made.ca


def test_devices_adopt_across_a_change_of_the_signing_key(tmp_path: Path) -> None:
    """Enrolled before, at and after the change, each adopts what is published then."""
    made = fleet(tmp_path / "fleet")
    states, devices = [], iter("abcdef")

    def enrol() -> None:
        bundle = made.add_device(f"dev-{next(devices)}", request())
        states.append(
            Adopted(
                fleet=bundle.fleet,
                key=bundle.signing_key,
                floor=bundle.floor,
                specification=SPECIFICATION,
                expressions=LABELS,
            )
        )

    enrol()
    made.publish(publication(1))
    enrol()
    made.publish(publication(2, made.new_signing_key()))
    enrol()
    made.publish(publication(3))
    enrol()
    newest = made.registry.path(3)
    for number, state in enumerate(states):
        after = state.accept(newest, made.registry.links(max(0, number - 1), 3)).adopted
        assert after.sequence == 3
        assert after.key == made.registry.head().next_key != made.settings.signing_key


def test_a_lost_signing_key_is_told(tmp_path: Path) -> None:
    made = fleet(tmp_path / "fleet")
    (path,) = (made.folder / "signing").iterdir()
    path.unlink()
    with pytest.raises(WorkError, match="bring it back from a copy"):
        made.publish(publication(1))


def test_names_and_keys_are_used_once(tmp_path: Path) -> None:
    made, key = fleet(tmp_path / "fleet"), request()
    made.add_device("dev-a", key)
    with pytest.raises(UsageError, match="enrolled as dev-a already"):
        made.add_device("dev-b", key)
    with pytest.raises(UsageError, match="renew its certificate, or revoke"):
        made.add_device("dev-a", request())
    made.revoke("dev-a", "lost")
    with pytest.raises(UsageError, match="enrolled as dev-a already"):
        made.add_device("dev-a", key)
    made.add_device("dev-a", request())
    assert [(d.name, d.active, d.reason) for d in made.devices.all()] == [
        ("dev-a", False, "lost"),
        ("dev-a", True, None),
    ]


def test_only_active_devices_are_renewed_or_revoked(tmp_path: Path) -> None:
    made = fleet(tmp_path / "fleet")
    made.add_device("dev-a", request())
    made.revoke("dev-a", "lost")
    for call in (lambda: made.renew("dev-a"), lambda: made.revoke("dev-b", "lost")):
        with pytest.raises(UsageError, match="no active device"):
            call()


def test_what_is_due(tmp_path: Path) -> None:
    made = fleet(tmp_path / "fleet")
    made.add_device("dev-a", request(), now=NOW)
    made.add_device("dev-b", request(), now=NOW + 30 * DAY)
    made.add_device("dev-c", request(), now=NOW)
    made.revoke("dev-c", "lost")
    assert made.due(now=NOW) == []
    edge = NOW + 365 * DAY - RENEW_BEFORE
    assert [(d.kind, d.name) for d in made.due(now=edge + DAY)] == [("device", "dev-a")]
    assert made.due(now=edge - DAY) == []
    made.renew("dev-a", now=edge + DAY)
    assert made.due(now=edge + DAY) == []
    late = NOW + 3700 * DAY
    assert [d.kind for d in made.due(now=late)] == ["ca", "server", "device", "device"]


def test_nothing_outlives_the_ca(tmp_path: Path) -> None:
    made = fleet(tmp_path / "fleet", now=NOW - 3500 * DAY)
    made.add_device("dev-a", request())
    assert made.devices.active("dev-a").ends == made.ca.not_valid_after_utc
    with pytest.raises(WorkError, match="CA ended on"):
        made.add_device("dev-b", request(), now=NOW + 200 * DAY)
    assert [device.name for device in made.devices.all()] == ["dev-a"]


def test_revocation_reaches_the_superlink_sooner_or_later(tmp_path: Path) -> None:
    made = fleet(tmp_path / "fleet")
    told: list[tuple[str, int | None]] = []

    def forget(device: Device) -> None:
        if not told:
            told.append(("down", None))
            raise WorkError("the SuperLink does not answer")
        told.append((device.name, device.node))

    for name in ("dev-a", "dev-b"):
        made.add_device(name, request())
    made.devices.set_node(made.devices.active("dev-a"), 77)
    with pytest.raises(WorkError, match="does not answer"):
        made.revoke("dev-a", "lost", forget=forget)
    assert not made.devices.all()[0].active
    assert [device.name for device in made.forget_revoked(forget)] == ["dev-a"]
    assert made.forget_revoked(forget) == []
    assert told == [("down", None), ("dev-a", 77)]


@pytest.mark.parametrize("damage", ["behind", "missing", "rubbish"])
def test_the_revocation_list_follows_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    made = fleet(tmp_path / "fleet")
    made.add_device("dev-a", request())
    serial = made.devices.certificates(made.devices.active("dev-a"))[0].serial_number

    def die(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Authority, "_write_revocations", die)
        with pytest.raises(KeyboardInterrupt):
            made.revoke("dev-a", "lost")
    path = made.folder / "ca/revoked.crl"
    if damage != "behind":
        path.write_bytes(b"rubbish") if damage == "rubbish" else path.unlink()
    Authority(made.folder)
    listed = x509.load_pem_x509_crl(path.read_bytes())
    assert [entry.serial_number for entry in listed] == [serial]
    assert listed.is_signature_valid(made.ca.public_key())  # type: ignore[arg-type]
    assert listed.next_update_utc == made.ca.not_valid_after_utc


@pytest.mark.parametrize("name", ["ca/ca.key", "operator.key"])
def test_an_open_secret_is_told(tmp_path: Path, name: str) -> None:
    made = fleet(tmp_path / "fleet")
    (made.folder / name).chmod(0o640)
    with pytest.raises(WorkError, match=r"mode 0640.*chmod 600"):
        Authority(made.folder).add_device("dev-a", request())


def test_folders_that_are_no_fleet(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mien server init"):
        Authority(tmp_path)
    assert list(tmp_path.iterdir()) == []
    made = fleet(tmp_path / "fleet")
    for name, content in (("settings.json", b"{}"), ("ca/ca.key", b"x"), ("ca/ca.crt", b"x")):
        good = (made.folder / name).read_bytes()
        (made.folder / name).write_bytes(content)
        with pytest.raises(WorkError, match=name):
            Authority(made.folder)
        (made.folder / name).write_bytes(good)
    (made.folder / "devices.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(WorkError, match=r"devices\.sqlite"):
        Authority(made.folder)
