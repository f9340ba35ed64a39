"""Whom the fleet trusts: enrolment, renewal and revocation of devices, the fleet's keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_ssh_public_key

from common.enrolment.bundle import Bundle
from common.enrolment.keys import (
    checked_name,
    device_key,
    private_openssh,
    public_openssh,
    read_public_key,
)
from common.errors import UsageError, WorkError
from common.files import write_atomically
from common.releases.manifest import Manifest
from server.authority.certificates import (
    PublicKey,
    device_certificate,
    hosts_of,
    is_due,
    revocation_list,
    server_certificate,
)
from server.authority.creation import create_fleet, signing_key_file
from server.authority.devices import Device, DeviceRegistry
from server.authority.secrets import read_ec_key, read_ed25519_key, read_secret, write_key
from server.authority.settings import load_settings
from server.locks import exclusive
from server.registry import Publication, Registry

Forget = Callable[[Device], None]
"""Makes the SuperLink forget a revoked device's key; raises where it can't be reached."""


@dataclass(frozen=True)
class Due:
    """A certificate that is to be renewed: a device's name, `server` or `ca`; and its end."""

    kind: str
    name: str
    ends: datetime


class Authority:
    """A fleet's folder, opened; see `server.authority.creation` for what lies in it.

    Args:
        folder: made by `create`.

    Raises:
        UsageError: there is no fleet in the folder.
        WorkError: a file is missing, damaged or open to other users.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = load_settings(folder / "settings.json")
        self.devices = DeviceRegistry(folder / "devices.sqlite")
        self.ca = self._certificate("ca/ca.crt")
        self._ca_key = read_ec_key(folder / "ca/ca.key")
        self._repair_revocations()

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        address: str,
        hosts: Sequence[str] = (),
        fleet: str | None = None,
        device_days: int = 365,
        now: datetime | None = None,
    ) -> Authority:
        """A new fleet; errors as in `creation.create_fleet`."""
        create_fleet(
            folder,
            address=address,
            hosts=hosts,
            fleet=fleet,
            device_days=device_days,
            now=now or datetime.now(UTC),
        )
        return cls(folder)

    @property
    def registry(self) -> Registry:
        """The fleet's releases."""
        return Registry(
            self.folder / "releases",
            fleet=self.settings.fleet,
            first_key=self.settings.signing_key,
        )

    @property
    def server(self) -> x509.Certificate:
        """The server's certificate."""
        return self._certificate("server/server.crt")

    @property
    def superexec_secret(self) -> bytes:
        """What SuperLink and SuperExec share."""
        return read_secret(self.folder / "superexec.secret")

    def add_device(
        self, name: str, key: bytes | None = None, *, now: datetime | None = None
    ) -> Bundle:
        """Enrol a device.

        Args:
            name: see `common.enrolment.keys.checked_name`.
            key: a signing request or public key that the device made. None makes a key pair here,
                and the bundle is then a secret; nothing of it is kept on the server.
            now: for tests.

        Raises:
            UsageError: the name or the key can't be used, or is in use.
        """
        now = now or datetime.now(UTC)
        made = device_key() if key is None else None
        public = made.public_key() if made else read_public_key(key or b"")
        certificate = self._issue(checked_name(name), public, now)
        bundle = self._bundle(name, certificate, private_openssh(made) if made else None)
        self.devices.add(name, public_openssh(public), certificate, now=now)
        return bundle

    def renew(self, name: str, *, now: datetime | None = None) -> Bundle:
        """One more certificate for a device's own key; the ones before stay good until they end.

        The bundle also brings what else has changed: the server's address, the signing key.

        Raises:
            UsageError: there is no active device of that name.
        """
        device = self.devices.active(name)
        certificate = self._issue(name, _loaded(device.public_key), now or datetime.now(UTC))
        bundle = self._bundle(name, certificate, None)
        self.devices.renew(name, certificate)
        return bundle

    def revoke(
        self,
        name: str,
        reason: str,
        *,
        forget: Forget | None = None,
        now: datetime | None = None,
    ) -> Device:
        """Bar a device: in the registry, in the list of revoked certificates, in the SuperLink.

        In this order, each on the disk before the next: what a kill leaves undone is done when the
        folder is next opened (the list) and by `forget_revoked` (the SuperLink).

        Raises:
            UsageError: there is no active device of that name.
        """
        device = self.devices.revoke(name, reason, now=now or datetime.now(UTC))
        self._write_revocations()
        if forget:
            self.forget_revoked(forget, now=now)
        return device

    def forget_revoked(self, forget: Forget, *, now: datetime | None = None) -> list[Device]:
        """Have the SuperLink forget all revoked devices that it may still know; they are returned.

        For the start of a SuperLink too, whose own memory may be older than the registry.
        """
        pending = [d for d in self.devices.all() if not d.active and d.removed is None]
        for device in pending:
            forget(device)
            self.devices.set_removed(device, now=now or datetime.now(UTC))
        return pending

    def renew_server(
        self, hosts: Sequence[str] = (), *, now: datetime | None = None
    ) -> x509.Certificate:
        """A new certificate of the server's same key, so that the two always fit each other.

        Args:
            hosts: names and addresses in place of the present ones; none keeps those.
            now: for tests.

        The one before stays good until it ends; servers read the new one when they are reloaded.

        Raises:
            UsageError: the address that devices use is not among the hosts.
        """
        given = tuple(hosts or hosts_of(self.server))
        settings = replace(self.settings, hosts=given)
        key = read_ec_key(self.folder / "server/server.key").public_key()
        now = now or datetime.now(UTC)
        certificate = server_certificate(self.ca, self._ca_key, key, given, now)
        write_atomically(self.folder / "server/server.crt", certificate.public_bytes(Encoding.PEM))
        if settings != self.settings:
            write_atomically(self.folder / "settings.json", settings.to_json().encode())
            self.settings = settings
        return certificate

    def due(self, *, now: datetime | None = None) -> list[Due]:
        """Certificates that end within `RENEW_BEFORE` or have ended, of CA, server, devices."""
        now = now or datetime.now(UTC)
        own = [("ca", "ca", self.ca), ("server", "server", self.server)]
        newest = [
            ("device", device.name, self.devices.certificates(device)[-1])
            for device in self.devices.all()
            if device.active
        ]
        return [
            Due(kind, name, certificate.not_valid_after_utc)
            for kind, name, certificate in (*own, *newest)
            if is_due(certificate, now)
        ]

    def publish(self, what: Publication, *, now: datetime | None = None) -> Manifest:
        """Publish a release, signed by the key that the chain asks for."""
        registry = self.registry
        return registry.publish(what, self._signing_key(registry.head().next_key), now=now)

    def new_signing_key(self) -> str:
        """Make a key for the releases after the next one; hex of its public half.

        It counts once a release is published that names it as `next_key`.
        """
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw().hex()
        write_key(signing_key_file(self.folder, public), key)
        return public

    def _signing_key(self, public_key: str) -> Ed25519PrivateKey:
        path = signing_key_file(self.folder, public_key)
        key = read_ed25519_key(path)
        if key.public_key().public_bytes_raw().hex() != public_key:
            raise WorkError(f"{path} is not the key {public_key[:16]} that signs the next release")
        return key

    def _issue(self, name: str, key: PublicKey, now: datetime) -> x509.Certificate:
        life = timedelta(days=self.settings.device_days)
        return device_certificate(self.ca, self._ca_key, key, name, now, life)

    def _bundle(self, name: str, certificate: x509.Certificate, private: str | None) -> Bundle:
        newest, signer, _ = self.registry.head()
        return Bundle(
            fleet=self.settings.fleet,
            device=name,
            address=self.settings.address,
            ca=self.ca.public_bytes(Encoding.PEM).decode(),
            certificate=certificate.public_bytes(Encoding.PEM).decode(),
            signing_key=signer,
            floor=newest.sequence if newest else 1,
            operator_key=self.settings.operator_key,
            private_key=private,
        ).signed(read_ed25519_key(self.folder / "operator.key"))

    def _certificate(self, name: str) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate((self.folder / name).read_bytes())
        except (OSError, ValueError) as error:
            raise WorkError(
                f"{self.folder / name} can't be read as a certificate; bring it back from a copy "
                "of the fleet's folder"
            ) from error

    def _repair_revocations(self) -> None:
        """Write the list anew where it is missing, damaged or behind the registry."""
        wanted = {serial for serial, _ in self.devices.revoked_serials()}
        try:
            content = (self.folder / "ca/revoked.crl").read_bytes()
            there = {entry.serial_number for entry in x509.load_pem_x509_crl(content)}
        except (OSError, ValueError):
            there = None
        if there != wanted:
            self._write_revocations()

    def _write_revocations(self) -> None:
        # Read inside the lock: else an older list of another process could take this one's place.
        with exclusive(self.folder / "ca/.lock"):
            revoked = self.devices.revoked_serials()
            made = revocation_list(self.ca, self._ca_key, revoked, datetime.now(UTC))
            content = made.public_bytes(Encoding.PEM)
            write_atomically(self.folder / "ca/revoked.crl", content)


def _loaded(public_key: str) -> PublicKey:
    key = load_ssh_public_key(public_key.encode())
    if not isinstance(key, PublicKey):
        raise UsageError("the device's key in the registry is not on a NIST curve")
    return key
