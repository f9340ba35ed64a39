"""Joining a fleet: the device's key, the operator's bundle, what is pinned of it; and leaving.

In the device's folder `fleet/`: `device.key` (OpenSSH, 0600: Flower's SuperNode reads a file),
`device.crt` and `ca.crt`. What decides which releases are adopted is in the vault alone.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from client.device.place import read_device, write_device
from client.membership import (
    Membership,
    adopted,
    keep_adopted,
    keep_membership,
    membership,
)
from client.vault.vault import Vault
from common.enrolment.bundle import MOST_BYTES, Bundle, BundleRefused, fingerprint_of
from common.enrolment.keys import certificate_request, device_key, private_openssh
from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically
from common.releases.adoption import Adopted

FLEET_FOLDER: Final = "fleet"
KEY_FILE: Final = "device.key"
CERTIFICATE_FILE: Final = "device.crt"
CA_FILE: Final = "ca.crt"
UNNAMED: Final = "device"
"""Name in a signing request; the operator gives the name that counts."""


class Joined(NamedTuple):
    """What joining did: the membership, its address, and whether it renewed one."""

    member: Membership
    address: str
    renewed: bool


def signing_request(folder: Path) -> str:
    """A PEM signing request by the device's key, which is made where it is missing.

    Raises:
        UsageError: there is no device in `folder`.
        WorkError: the key that is there can't be read.
    """
    read_device(folder)
    path = private_folder(folder / FLEET_FOLDER) / KEY_FILE
    if not path.exists():
        write_atomically(path, private_openssh(device_key()).encode())
    return certificate_request(_own_key(path), UNNAMED)


def read_bundle(path: Path, fingerprint: str | None) -> Bundle:
    """An enrolment bundle whose signature fits.

    Args:
        path: of its file.
        fingerprint: that the operator told; None trusts whatever key signed it.

    Raises:
        UsageError: the file can't be read or is no bundle.
        BundleRefused: it was changed, or another operator's key signed it.
    """
    try:
        with path.open("rb") as file:
            bundle = Bundle.from_json(file.read(MOST_BYTES + 1))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: can't be read as an enrolment bundle ({error})") from error
    bundle.check(fingerprint)
    return bundle


def is_renewal(vault: Vault, bundle: Bundle) -> bool:
    """Whether a bundle is of the fleet that the device is in, signed by the operator's pinned key.

    Raises:
        UsageError: the device is in another fleet.
        BundleRefused: the fleet is the same and the operator's key is not.
    """
    member = membership(vault)
    if member is None:
        return False
    if member.fleet != bundle.fleet:
        raise UsageError(
            f"this device is in fleet {member.fleet}, the bundle is of fleet {bundle.fleet}; "
            "leave the one first: mien device leave"
        )
    if member.operator_key != bundle.operator_key:
        raise BundleRefused(
            f"the bundle is of the operator {fingerprint_of(bundle.operator_key)}, and this "
            f"device pinned {fingerprint_of(member.operator_key)}"
        )
    return True


def join(
    vault: Vault,
    bundle: Bundle,
    *,
    show_certificate: bool | None = None,
    now: datetime | None = None,
) -> Joined:
    """Join a fleet, or take its renewal; what was adopted stays.

    Files first, then the vault, then device.json: what is cut short can be repeated.

    Args:
        vault: the device's.
        bundle: checked, its operator believed; see `read_bundle` and `is_renewal`.
        show_certificate: whether to show the server the device's certificate, its second lock;
            None keeps what was chosen before.
        now: for tests.

    Raises:
        UsageError, BundleRefused: see `is_renewal`; or the bundle is not for this device's key, its
            certificate is not the CA's or not valid now.
    """
    renewed = is_renewal(vault, bundle)
    folder = private_folder(vault.folder / FLEET_FOLDER)
    key = _key_of(bundle, folder / KEY_FILE)
    _check_certificate(bundle, key, now or datetime.now(UTC))
    contents = {CERTIFICATE_FILE: bundle.certificate, CA_FILE: bundle.ca}
    if bundle.private_key is not None:
        contents[KEY_FILE] = bundle.private_key
    for name, content in contents.items():
        write_atomically(folder / name, content.encode())
    member = _pin(vault, bundle)
    settings = read_device(vault.folder)
    if show_certificate is None:
        show_certificate = bool((settings.get("fleet") or {}).get("certificate"))
    fleet = {
        "address": bundle.address,
        "root_certificates": str(folder.absolute() / CA_FILE),
        "private_key": str(folder.absolute() / KEY_FILE),
    }
    if show_certificate:
        fleet["certificate"] = str(folder.absolute() / CERTIFICATE_FILE)
    write_device(vault.folder, {**settings, "fleet": fleet})
    return Joined(member, bundle.address, renewed)


def _pin(vault: Vault, bundle: Bundle) -> Membership:
    """Keep what the bundle pins; a device that is behind its floor begins anew there."""
    with vault.transaction():
        old, state = membership(vault), adopted(vault)
        floor = max(bundle.floor, old.floor if old else 1)
        key = old.key if old and old.floor > bundle.floor else bundle.signing_key
        member = Membership(
            fleet=bundle.fleet,
            device=bundle.device,
            operator_key=bundle.operator_key,
            key=key,
            floor=floor,
        )
        keep_membership(vault, member)
        if state is not None and state.sequence < floor:
            keep_adopted(vault, _begun_anew(state, member))
    return member


def _begun_anew(state: Adopted, member: Membership) -> Adopted:
    """The chain from the floor on; nothing older than what the device has can come back."""
    return replace(
        state, key=member.key, floor=member.floor, sequence=0, sha256="", round=0, signer=""
    )


def leave(vault: Vault) -> Membership | None:
    """Leave the fleet: key, certificates and pins go, the universal head stays.

    Returns:
        What the device was a member of, None if of none.
    """
    member = membership(vault)
    settings = read_device(vault.folder)
    settings.pop("fleet", None)
    write_device(vault.folder, settings)
    for name in (KEY_FILE, CERTIFICATE_FILE, CA_FILE):
        (vault.folder / FLEET_FOLDER / name).unlink(missing_ok=True)
    with vault.transaction():
        keep_membership(vault, None)
        keep_adopted(vault, None)
    return member


def _key_of(bundle: Bundle, path: Path) -> ec.EllipticCurvePrivateKey:
    """The key that came with the bundle, else the device's own."""
    if bundle.private_key is not None:
        return _loaded(bundle.private_key.encode(), "the bundle")
    if not path.exists():
        raise UsageError(
            "the bundle holds no key and this device made none; begin with "
            "`mien device join --request FILE`, or ask for a bundle with a key"
        )
    return _own_key(path)


def _own_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        return _loaded(path.read_bytes(), str(path))
    except OSError as error:
        raise WorkError(f"{path}: the device's key can't be read ({error.strerror})") from error


def _loaded(content: bytes, source: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_ssh_private_key(content, password=None)
    except ValueError as error:
        raise WorkError(f"{source} holds no private key that can be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise WorkError(f"{source} holds a key that is not on a NIST curve")
    return key


def _check_certificate(bundle: Bundle, key: ec.EllipticCurvePrivateKey, now: datetime) -> None:
    certificate = x509.load_pem_x509_certificate(bundle.certificate.encode())
    if certificate.public_key() != key.public_key():
        raise UsageError(
            f"the bundle was made for another key than this device's ({bundle.device}); send the "
            "operator this device's own request: mien device join --request FILE"
        )
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(bundle.ca.encode()))
    except (InvalidSignature, ValueError, TypeError) as error:
        raise BundleRefused("the bundle's certificate is not of the bundle's CA") from error
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not first <= now <= last:
        raise UsageError(
            f"the bundle's certificate is good from {first:%Y-%m-%d} to {last:%Y-%m-%d}, and this "
            f"device's clock says {now:%Y-%m-%d}; set the clock, or ask the operator to renew it"
        )
