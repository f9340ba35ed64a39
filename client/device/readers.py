"""Which head reads whose clips: built from the vault. Heavy: imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from client.device.bases import Base, Eye, base_of
from client.device.due import usable_personal, why_not_personal
from client.device.personal import head_from
from client.personalisation.heads import PersonalHead
from client.recognition.answer import BACKBONE, PERSONAL
from client.recognition.readers import NO_HEAD, OwnLabels, Reader
from client.vault.records import Floats
from client.vault.vault import Vault
from common.errors import WorkError

MOST_CLIPS: Final = 1000
"""A user is known by so many of the newest clips, which bounds memory and time."""
GUEST: Final = "universal head: the person is not enrolled here"


@dataclass(frozen=True)
class BaseReader:
    """A base that knows a user, with the user's correction where one is in use."""

    base: Base
    eye: Eye
    reason: str
    correction: PersonalHead | None = None

    @property
    def kind(self) -> str:
        """`PERSONAL`, or the base's kind."""
        return self.base.kind if self.correction is None else PERSONAL

    def logits(self, features: Floats, own: Floats | None) -> Floats:
        """See `client.recognition.readers.Reader`."""
        if self.correction is None and self.base.kind == BACKBONE:
            return OwnLabels().logits(features, own)
        sight = self.eye.see([self.base.rows(features)], [own])
        found = sight.logits
        if self.correction is not None:
            found = self.correction.logits(sight.logits, sight.descriptors)
        return np.asarray(found[0], dtype=np.float32)


class VaultReaders:
    """`Readers` of a device; a user's is made when it is asked for and kept."""

    def __init__(self, vault: Vault, feature_spec: str) -> None:
        """Raises:
        WorkError: the stored universal head can't be used.
        """
        self._vault = vault
        self._spec = feature_spec
        self._base = base_of(vault, feature_spec)
        self._made: dict[str | None, Reader] = {}

    def reader(self, user: str | None) -> Reader:
        """The head that reads a user's clips; None is a guest.

        Raises:
            WorkError: the user's personal head is not whole.
        """
        if user not in self._made:
            self._made[user] = self._guest() if user is None else self._of_user(user)
        return self._made[user]

    def _guest(self) -> Reader:
        if self._base.kind == BACKBONE:
            return OwnLabels()
        return BaseReader(self._base, self._base.get_acquainted([]), GUEST)

    def _of_user(self, user: str) -> Reader:
        stored = usable_personal(self._vault, user, self._spec)
        if stored is not None and stored.about.get("personal"):
            try:
                eye, head = self._base.remember(stored.arrays), head_from(stored.arrays)
            except (KeyError, IndexError) as error:
                raise WorkError(
                    "a personal head in the vault is not whole; make it anew with "
                    "`mien personalise NAME`"
                ) from error
            return BaseReader(self._base, eye, str(stored.about["reason"]), head)
        learnt = why_not_personal(self._vault, user) if stored is None else stored.about["reason"]
        if self._base.kind == BACKBONE:
            return OwnLabels(reason=f"{NO_HEAD}; {learnt}")
        return BaseReader(self._base, self._known(user), str(learnt))

    def _known(self, user: str) -> Eye:
        return self._base.get_acquainted(clip_rows(self._vault, self._base, user, self._spec))


def clip_rows(vault: Vault, base: Base, user: str, spec: str) -> list[Floats]:
    """What a base reads of a user's newest clips of a spec, labelled or not."""
    mine = [clip for clip in vault.clips(user=user) if clip.spec == spec]
    return [base.rows(vault.arrays(clip.id).features) for clip in mine[:MOST_CLIPS]]
