"""A new fleet's folder: made whole beside its place and then moved there, or not at all.

| file | what |
|---|---|
| settings.json | `FleetSettings` |
| ca/ca.crt, ca/ca.key, ca/revoked.crl | the CA, and the list of certificates that it revoked |
| server/server.crt, server/server.key | the server's certificate and key |
| operator.key | Ed25519, signs enrolment bundles |
| signing/KEY.key | Ed25519, signs releases; named by the public key's first 16 digits |
| superexec.secret | 32 random bytes in hexadecimal, shared by SuperLink and SuperExec |
| devices.sqlite | `DeviceRegistry` |
| releases/ | `server.registry.Registry` |
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from common.enrolment.bundle import split_address
from common.errors import UsageError
from common.files import private_folder, sync
from server.authority.certificates import (
    authority_certificate,
    revocation_list,
    server_certificate,
)
from server.authority.devices import DeviceRegistry
from server.authority.secrets import write_key, write_new
from server.authority.settings import FleetSettings


def create_fleet(
    folder: Path,
    *,
    address: str,
    hosts: Sequence[str],
    fleet: str | None,
    device_days: int,
    now: datetime,
) -> FleetSettings:
    """Make a fleet's folder; `address`'s own host is always among the certificate's.

    Raises:
        UsageError: the folder has something in it or can't be made; a value that can't be one.
    """
    _check_free(folder)
    keys = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    settings = FleetSettings(
        fleet=fleet or f"fleet-{secrets.token_hex(8)}",
        address=address,
        hosts=tuple(dict.fromkeys((split_address(address)[0], *hosts))),
        signing_key=_hexed(keys[0]),
        operator_key=_hexed(keys[1]),
        device_days=device_days,
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"{folder} can't be made ({error.strerror})") from error
    try:
        _fill(made, settings, keys, now)
        made.rename(folder)  # onto nothing, or onto an empty folder
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return settings


def signing_key_file(folder: Path, public_key: str) -> Path:
    """Where the private half of a key that signs releases lies."""
    return folder / "signing" / f"{public_key[:16]}.key"


def _check_free(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder} is no folder; name one that is empty or not there")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} has something in it, and a fleet is never written over; name another folder"
        )


def _fill(
    folder: Path,
    settings: FleetSettings,
    keys: tuple[Ed25519PrivateKey, Ed25519PrivateKey],
    now: datetime,
) -> None:
    for name in ("ca", "server", "signing", "releases"):
        private_folder(folder / name)
    ca_key, server_key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    ca = authority_certificate(ca_key, settings.fleet, now)
    server = server_certificate(ca, ca_key, server_key.public_key(), settings.hosts, now)
    revoked = revocation_list(ca, ca_key, [], now)
    write_key(folder / "ca/ca.key", ca_key)
    write_new(folder / "ca/ca.crt", ca.public_bytes(Encoding.PEM))
    write_new(folder / "ca/revoked.crl", revoked.public_bytes(Encoding.PEM))
    write_key(folder / "server/server.key", server_key)
    write_new(folder / "server/server.crt", server.public_bytes(Encoding.PEM))
    write_key(signing_key_file(folder, settings.signing_key), keys[0])
    write_key(folder / "operator.key", keys[1])
    write_new(folder / "superexec.secret", secrets.token_hex(32).encode())
    DeviceRegistry(folder / "devices.sqlite")
    write_new(folder / "settings.json", settings.to_json().encode())


def _hexed(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()
