"""What an operator decided when the fleet was made."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.enrolment.bundle import split_address
from common.errors import UsageError, WorkError
from server.authority.certificates import general_name

FORMAT: Final = 1
_FLEET: Final = re.compile(r"[a-z0-9-]{1,64}")
_KEY: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """Settings of one fleet.

    Attributes:
        fleet: id, in every release, bundle and certificate.
        address: `host:port` at which devices reach the server.
        hosts: names and addresses in the server's certificate.
        signing_key: hex of the public key that signs the first release.
        operator_key: hex of the operator's public key, which signs enrolment bundles.
        device_days: life of a device's certificate, 1 to 3650 days.

    Raises:
        UsageError: a value that can't be one.
    """

    fleet: str
    address: str
    hosts: tuple[str, ...]
    signing_key: str
    operator_key: str
    device_days: int = 365

    def __post_init__(self) -> None:
        if not _FLEET.fullmatch(self.fleet):
            raise UsageError(f"fleet {self.fleet!r} is not 1 to 64 of the characters a-z 0-9 -")
        if not all(_KEY.fullmatch(key) for key in (self.signing_key, self.operator_key)):
            raise UsageError("the fleet's public keys are not 64 hexadecimal digits each")
        if type(self.device_days) is not int or not 1 <= self.device_days <= 3650:
            raise UsageError(f"device days are {self.device_days!r}, expected 1 to 3650")
        host, _ = split_address(self.address)
        named = [general_name(given).value for given in self.hosts]
        if general_name(host).value not in named:
            raise UsageError(
                f"devices would reach the server at {host}, which is not among its certificate's "
                f"hosts {', '.join(self.hosts) or '(none)'}; add it by --host"
            )

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({**dataclasses.asdict(self), "format": FORMAT}, indent=1, sort_keys=True)


def load_settings(path: Path) -> FleetSettings:
    """Read what `FleetSettings.to_json` wrote.

    Raises:
        WorkError: the file is missing or damaged, or of another version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise UsageError("another version of Mien made it")
        return FleetSettings(**{**values, "hosts": tuple(values["hosts"])})
    except FileNotFoundError:
        raise UsageError(
            f"{path.parent} is no fleet's folder; make one by `mien server init {path.parent}`"
        ) from None
    except (OSError, UsageError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkError(f"{path} is not a fleet's settings: {error}") from error
