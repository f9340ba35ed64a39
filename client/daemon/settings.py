"""What device.json says to the daemon, checked; its other keys belong to `client.device.place`."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from client.device.place import DEVICE_FILE, NEXT_KEY, read_device
from common.errors import WorkError

IDLE_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 2.0
_KNOWN: Final = {
    "key",
    NEXT_KEY,
    "backbone",
    "identity",
    "inboxes",
    "fleet",
    "idle_seconds",
    "settle_seconds",
}
_FLEET: Final = {"address", "root_certificates", "private_key", "certificate", "insecure"}


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Where the device's SuperNode connects to.

    Attributes:
        address: HOST:PORT of the SuperLink.
        root_certificates: PEM file of the authority that signed the SuperLink's certificate.
        private_key: file of the device's own key, by which the fleet knows it; empty for none.
        certificate: file of the device's certificate, where the server asks for it (its second
            lock); empty shows none.
        insecure: without TLS; accepted for this computer's own addresses only.
    """

    address: str
    root_certificates: str = ""
    private_key: str = ""
    certificate: str = ""
    insecure: bool = False


@dataclass(frozen=True, kw_only=True)
class DaemonSettings:
    """What a daemon is set up for.

    Attributes:
        inboxes: folders that are watched, whole paths.
        backbone: id of the network that makes features; empty for the default.
        identity: id of the network that makes face embeddings; empty for the default.
        fleet: that the device takes part in, or None.
        idle_seconds: after which a worker without a job is ended.
        settle_seconds: for which a file must stay as it is before it is taken.
    """

    inboxes: tuple[Path, ...] = ()
    backbone: str = ""
    identity: str = ""
    fleet: Fleet | None = None
    idle_seconds: float = IDLE_SECONDS
    settle_seconds: float = SETTLE_SECONDS


def load_settings(folder: Path) -> DaemonSettings:
    """The daemon's part of a device's settings.

    Raises:
        UsageError: there is no device in `folder`.
        WorkError: device.json can't be read, or a value in it is not what it should be.
    """
    return parse_settings(read_device(folder), str(folder / DEVICE_FILE))


def parse_settings(told: Mapping[str, Any], source: str) -> DaemonSettings:
    """Settings from a JSON document; `source` names it in errors.

    Raises:
        WorkError: a key is unknown or its value is not what it should be.
    """
    unknown = sorted(set(told) - _KNOWN)
    if unknown:
        raise WorkError(
            f"{source}: {unknown[0]!r} is no setting; known: {', '.join(sorted(_KNOWN))}"
        )
    return DaemonSettings(
        inboxes=_inboxes(told.get("inboxes", []), source),
        backbone=_text(told, "backbone", source),
        identity=_text(told, "identity", source),
        fleet=_fleet(told.get("fleet"), source),
        idle_seconds=_seconds(told, "idle_seconds", IDLE_SECONDS, source),
        settle_seconds=_seconds(told, "settle_seconds", SETTLE_SECONDS, source),
    )


def _wrong(source: str, name: str, found: object, expected: str) -> WorkError:
    return WorkError(f"{source}: {name} is {found!r:.80}, expected {expected}")


def _text(told: Mapping[str, Any], name: str, source: str) -> str:
    value = told.get(name, "")
    if not isinstance(value, str):
        raise _wrong(source, name, value, "text")
    return value


def _seconds(told: Mapping[str, Any], name: str, default: float, source: str) -> float:
    value = told.get(name, default)
    number = float(value) if type(value) in (int, float) and abs(value) < 1e9 else math.nan
    if not 0 < number <= 86_400:
        raise _wrong(source, name, value, "seconds above 0, at most 86400")
    return number


def _inboxes(found: object, source: str) -> tuple[Path, ...]:
    if not isinstance(found, list) or not all(_whole_path(each) for each in found):
        raise _wrong(source, "inboxes", found, "a list of folders, as whole paths")
    return tuple(dict.fromkeys(Path(each) for each in found))


def _whole_path(found: object) -> bool:
    return isinstance(found, str) and "\0" not in found and Path(found).is_absolute()


def _fleet(found: object, source: str) -> Fleet | None:
    if found is None:
        return None
    if not isinstance(found, dict) or not set(found) <= _FLEET:
        raise _wrong(source, "fleet", found, f"null or {{{', '.join(sorted(_FLEET))}}}")
    insecure = found.get("insecure", False)
    if type(insecure) is not bool:
        raise _wrong(source, "fleet.insecure", insecure, "true or false")
    fleet = Fleet(
        address=_text(found, "address", source),
        root_certificates=_text(found, "root_certificates", source),
        private_key=_text(found, "private_key", source),
        certificate=_text(found, "certificate", source),
        insecure=insecure,
    )
    _check_fleet(fleet, source)
    return fleet


def _check_fleet(fleet: Fleet, source: str) -> None:
    host, separator, port = fleet.address.rpartition(":")
    if not (separator and host and port.isascii() and port.isdecimal() and len(port) <= 5):
        raise _wrong(source, "fleet.address", fleet.address, "HOST:PORT")
    if not 0 < int(port) < 65_536 or any(c.isspace() or ord(c) < 32 for c in host):
        raise _wrong(source, "fleet.address", fleet.address, "HOST:PORT")
    for name in ("root_certificates", "private_key", "certificate"):
        path = getattr(fleet, name)
        if path and not _whole_path(path):
            raise _wrong(source, f"fleet.{name}", path, "a whole path")
    if fleet.certificate and not fleet.private_key:
        raise _wrong(source, "fleet.private_key", "", "the key of fleet.certificate")
    if fleet.insecure and not _is_loopback(host):
        raise WorkError(
            f"{source}: fleet.insecure is true for {host}, another computer; without TLS updates "
            "could be read and replaced on the way, so give fleet.root_certificates instead"
        )
    if fleet.insecure and (fleet.root_certificates or fleet.private_key):
        raise WorkError(
            f"{source}: fleet.insecure is true and certificates or a key are named; take one out"
        )
    if not fleet.insecure and not fleet.root_certificates:
        raise _wrong(source, "fleet.root_certificates", "", "the PEM file of the fleet's authority")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
