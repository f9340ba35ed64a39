"""A vault as the rounds of a fleet see it: only clips of users who agreed, and no names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from client.device.budget import (
    PAUSED_SETTING,
    accepts_leak,
    exposure_limits,
    helping,
    note_declined,
    willing,
)
from client.exposure import ExposureLimits
from client.membership import fleet_specification, note_refusal
from client.settings import DeviceSettings
from client.vault.errors import RowDamaged
from client.vault.ledger import VaultLedger
from client.vault.records import Clip, Floats
from client.vault.vault import Vault
from common.clips import ClipSet, make_clip_set
from common.errors import WorkError
from common.heads.specification import HeadSpecification


class VaultStore:
    """Does for a vault what `client.store.DeviceFolder` does for a folder in a round.

    A device that joined a fleet is set up for the head of the release that it adopted; before the
    first one, for whatever head the server asks for that reads the device's features. Any other
    device is set up for the universal head that its vault holds. The server must ask for just that
    kind of head. Clips are named by their random ids, users by theirs.

    Args:
        vault: open.
        asked: JSON of the head specification that the server asks for.
    """

    def __init__(self, vault: Vault, asked: str = "") -> None:
        self._vault = vault
        self._asked = asked

    @property
    def vault(self) -> Vault:
        """The vault itself."""
        return self._vault

    @property
    def ledger(self) -> VaultLedger:
        """What left this device."""
        return self._vault.ledger

    def settings(self) -> DeviceSettings:
        """Set up for the vault's universal head, without tests that a server could start.

        Raises:
            WorkError: the vault holds no universal head, or one that can't be read; or the fleet
                asks for one that is not for this device.
        """
        limits = self.exposure_limits()
        return DeviceSettings(
            specification=self._specification(),
            seed=0,
            exposure_share=limits.share,
            exposure_epsilon=limits.epsilon,
            bare_updates=limits.bare_updates,
            accept_leak=accepts_leak(self._vault),
        )

    def contributors(self) -> frozenset[str]:
        """Users who agreed to this version's text; nobody while taking part is paused."""
        if self._vault.setting(PAUSED_SETTING, False):
            return frozenset()
        return willing(self._vault)

    def clips(self) -> ClipSet:
        """The clips that may help: labelled, made for the head, of users who agreed to it.

        There are none while taking part is paused. A consent to an older text does not count.

        Damaged ones are left out.

        Raises:
            WorkError: the vault holds no universal head.
        """
        specification = self._specification()
        with self._vault.snapshot():
            chosen = helping(self._vault, self.contributors(), specification.features)
            rows = [(clip, found) for clip in chosen if (found := self._features(clip)) is not None]
        if not rows:
            return _no_clips(specification.dimension)
        return make_clip_set(
            [clip.id for clip, _ in rows],
            [clip.user for clip, _ in rows],
            [clip.label for clip, _ in rows if clip.label is not None],
            [features for _, features in rows],
        )

    def _features(self, clip: Clip) -> Floats | None:
        try:
            return self._vault.arrays(clip.id).features
        except RowDamaged:
            return None

    def exposure_limits(self) -> ExposureLimits:
        """How much the device is willing to tell, as its owner set it."""
        return exposure_limits(self._vault)

    def note_declined(self, about: str, text: str) -> None:
        """Remember for the device's status which round was declined, and why."""
        note_declined(self._vault, about, text)

    def log_error(self, text: str) -> None:
        """Keep an error's full text, encrypted."""
        self._vault.log_error(text)

    def note_refusal(self, about: str, text: str) -> None:
        """Remember for the device's status what it said no to, and why."""
        note_refusal(self._vault, about, text)

    def _specification(self) -> HeadSpecification:
        agreed = fleet_specification(self._vault, self._asked)
        if agreed is not None:
            return agreed
        head = self._vault.universal()
        if head is None:
            raise WorkError(
                "this device has no universal head yet, so it can't take part in a fleet; "
                "join a fleet with mien device join, or give it one with mien device head FILE"
            )
        return _read(head.about)


def _read(about: Mapping[str, Any]) -> HeadSpecification:
    told = about.get("specification")
    if isinstance(told, Mapping):
        told = json.dumps(dict(told))
    if not isinstance(told, str):
        raise WorkError("the device's universal head does not say what it is made for")
    return HeadSpecification.from_json(told)


def _no_clips(dimension: int) -> ClipSet:
    none = np.zeros(0, dtype=np.int64)
    return ClipSet((), (), none, np.zeros((0, dimension), dtype=np.float32), none.copy())
