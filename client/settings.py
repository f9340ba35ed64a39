"""What a device is set up for, and what its rounds need of the store that holds its clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from client.exposure import ExposureLimits
from common.clips import ClipSet
from common.heads.specification import HeadSpecification

FEWEST_CLIPS: Final = 4
"""A device with fewer clips takes no part: so few would be all but sent as they are."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One test of one user: clips to adapt on and clips to test on, which share no take.

    Attributes:
        federation: whose final head is tested; the user's clips took no part in it.
        user: whose clips.
        adaptation, test: indices into the device's clips.
        evidence: what the fleet knows of the candidates of a personal head, without this user; see
            `client.personalisation.maximum_a_posteriori.Prior`.
    """

    federation: str
    user: str
    adaptation: tuple[int, ...]
    test: tuple[int, ...]
    evidence: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeviceSettings:
    """What a device is set up for.

    Attributes:
        specification: of the universal head.
        seed: of draws.
        held_out_of: federations that its clips stay out of.
        parts: its tests.
        own_clips: numbers of own clips per expression to be tried.
        draws: of so many own clips.
        peers: personalisation methods to be tested beside `map` and `local-only`.
        exposure_share, exposure_epsilon: see `client.exposure.ExposureLimits`; None for no limit.
        bare_updates: whether updates may leave without a secure sum, see there.
        accept_leak: whether it trains a head that should not be federated, see
            `common.heads.leak`.
    """

    specification: HeadSpecification
    seed: int
    held_out_of: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    own_clips: tuple[int, ...] = ()
    draws: int = 5
    peers: tuple[str, ...] = ()
    exposure_share: float | None = None
    exposure_epsilon: float | None = None
    bare_updates: bool = True
    accept_leak: bool = False


class ReleaseLedger(Protocol):
    """What left a device: `client.ledger.Ledger`, or a vault's."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry; it is on the disk when this returns."""

    def entries(self) -> Iterator[dict[str, Any]]:
        """All entries, first to last, the chain checked."""


class DeviceStore(Protocol):
    """What taking part in a fleet needs: `client.store.DeviceFolder`, or a vault's."""

    @property
    def ledger(self) -> ReleaseLedger:
        """What left this device."""

    def settings(self) -> DeviceSettings:
        """What the device is set up for."""

    def contributors(self) -> frozenset[str]:
        """Ids of the users whose clips may help just now; an update of others must not leave."""

    def clips(self) -> ClipSet:
        """The labelled clips that may help to improve the universal head."""

    def exposure_limits(self) -> ExposureLimits:
        """How much the device is willing to tell of its clips."""

    def note_declined(self, about: str, text: str) -> None:
        """Keep, for the device's owner, which round it declined and why; it stays here."""

    def log_error(self, text: str) -> None:
        """Keep an error's full text; it stays here."""
