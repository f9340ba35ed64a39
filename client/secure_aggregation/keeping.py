"""What a device keeps of a secure sum from step to step: each step may be a new process.

One session at a time. A vault keeps it sealed, a simulated device's folder in a file of mode 0600.
A step that is asked for again in the same words gets the same answer; nothing is made anew for it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from client.membership import membership
from client.secure_aggregation.identity import CertifiedIdentities, Identities, KnownIdentities
from client.settings import DeviceStore
from client.turns import folder_of
from client.vault.device_store import VaultStore
from client.vault.vault import Vault
from common.files import write_atomically
from common.secure_aggregation.session import SecureSumRefused

KEPT_SETTING: Final = "secure_sum"
KEPT_FILE: Final = "secure-sum.json"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The session that this device is in.

    Attributes:
        session: hex digest; a step under another plan, stage, round or roster has another one.
        invitation: hex of the bytes that began it.
        taken: SHA-256 of the request whose vector goes under the masks; written before training,
            so that no other vector ever does.
        asked: SHA-256 of the newest step's request.
        step: the newest step.
        answer: hex of what was answered to it; may leave again, byte for byte.
        member: secrets, see `client.secure_aggregation.member.Member.saved`; empty once they are
            not needed any more.
        told: what the ledger is to say of the masked vector.
    """

    session: str
    invitation: str
    asked: str
    step: str
    answer: str = field(repr=False)
    member: dict[str, Any] = field(default_factory=dict, repr=False)
    told: dict[str, Any] = field(default_factory=dict)
    taken: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class SumKeeper(Protocol):
    """Where a device keeps its session, and its identity."""

    identities: Identities
    federations_apart: bool

    @property
    def fleet(self) -> str:
        """That the device is in; empty in a simulation."""

    def kept(self) -> Kept | None:
        """The newest session."""

    def keep(self, kept: Kept, expected: Kept | None) -> None:
        """Put it in the place of `expected`; durable when this returns.

        Raises:
            SecureSumRefused: another step was kept meanwhile.
        """


class FolderKeeper:
    """In a simulated device's folder; it takes part in several federations, see `replay`."""

    federations_apart = True
    fleet = ""

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEPT_FILE
        self.identities: Identities = KnownIdentities(folder)

    def kept(self) -> Kept | None:
        """See `SumKeeper`."""
        if not self._path.exists():
            return None
        return Kept(**json.loads(self._path.read_text(encoding="utf-8")))

    def keep(self, kept: Kept, expected: Kept | None) -> None:
        """See `SumKeeper`."""
        _check_unchanged(self.kept(), expected)
        write_atomically(self._path, json.dumps(kept.to_json()).encode())


class VaultKeeper:
    """In a vault."""

    federations_apart = False

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.identities: Identities = CertifiedIdentities(vault)

    @property
    def fleet(self) -> str:
        """See `SumKeeper`."""
        member = membership(self._vault)
        return member.fleet if member else ""

    def kept(self) -> Kept | None:
        """See `SumKeeper`."""
        told = self._vault.setting(KEPT_SETTING)
        return None if told is None else Kept(**told)

    def keep(self, kept: Kept, expected: Kept | None) -> None:
        """See `SumKeeper`."""
        with self._vault.transaction():
            _check_unchanged(self.kept(), expected)
            self._vault.set_setting(KEPT_SETTING, kept.to_json())


def keeper_of(store: DeviceStore) -> SumKeeper:
    """The keeper of a device's store.

    Raises:
        WorkError: the store is neither a vault nor a device's folder.
    """
    if isinstance(store, VaultStore):
        return VaultKeeper(store.vault)
    return FolderKeeper(folder_of(store))


def without_secrets(kept: Kept) -> Kept:
    """The same once the session's secrets are not needed any more."""
    return replace(kept, member={})


def _check_unchanged(found: Kept | None, expected: Kept | None) -> None:
    if found != expected:
        raise SecureSumRefused("another step of a secure sum was taken at the same time")
