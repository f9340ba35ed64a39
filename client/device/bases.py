"""What personal heads correct: the universal head, or where there is none the backbone's labels.

Either way a user's clips become logits and descriptors: by the universal head and the user's own
statistics (`client.personalisation.interface`), or by the backbone's logits and the user's own
units of the clip's largest features (`own_units`). Statistics come from all of the user's clips,
labelled or not, and no label goes into them. Heavy: imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from client.device.due import base_digest, specification_of, usable_universal
from client.personalisation.corrected import head_whitener
from client.personalisation.interface import Acquaintance, View
from client.personalisation.solver import Rows
from client.recognition.answer import BACKBONE, UNIVERSAL
from client.vault.records import Floats, StoredHead
from client.vault.vault import Vault
from common.clips import ClipSet, make_clip_set
from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from common.heads.kinds import pools_first
from common.heads.specification import HeadSpecification
from common.heads.standardise import UserStatistics, own_scale, own_units, power
from common.heads.universal import UniversalHead, pooled_frames, statistics_of

CLASSES = len(EXPRESSIONS)


@dataclass(frozen=True, eq=False)
class Sight:
    """Clips as a base sees them: (clips, 8) logits and (clips, dimension) descriptors."""

    logits: Rows
    descriptors: Rows
    whitener: Rows | None

    def select(self, chosen: Sequence[int]) -> Sight:
        """Some of the clips."""
        rows = list(chosen)
        return Sight(self.logits[rows], self.descriptors[rows], self.whitener)


class Eye(Protocol):
    """A base that knows a user: sees clips of that user."""

    @property
    def arrays(self) -> Mapping[str, Rows]:
        """What is known of the user, for the vault."""
        ...

    def see(self, rows: Sequence[Floats], own: Sequence[Floats | None]) -> Sight:
        """See clips (at least one), each as `Base.rows` made it, with the backbone's logits."""
        ...


@dataclass(frozen=True)
class UniversalEye:
    """The universal head with a user's statistics."""

    head: UniversalHead
    statistics: UserStatistics

    @property
    def arrays(self) -> Mapping[str, Rows]:
        """The statistics."""
        known = self.statistics
        return {"mean": known.mean, "spread": known.spread, "trust": np.array([known.trust])}

    def view(self, rows: Sequence[Floats]) -> View:
        """Clips as personalisation methods see them."""
        return Acquaintance(self.head, self.statistics).view(_clip_set(rows))

    def see(self, rows: Sequence[Floats], own: Sequence[Floats | None]) -> Sight:
        """Mixed logits and the user branch's descriptors."""
        view = self.view(rows)
        return Sight(view.universal, view.descriptors, head_whitener(view))


@dataclass(frozen=True)
class BackboneEye:
    """The backbone's own labels with a user's own mean and spread, each (dimension,)."""

    mean: Rows
    spread: Rows

    @property
    def arrays(self) -> Mapping[str, Rows]:
        """Mean and spread."""
        return {"mean": self.mean, "spread": self.spread}

    def see(self, rows: Sequence[Floats], own: Sequence[Floats | None]) -> Sight:
        """The backbone's logits (0 where it has none) and features in the user's own units."""
        nothing = np.zeros(CLASSES)
        logits = np.array([nothing if each is None else each for each in own], dtype=np.float64)
        return Sight(logits, own_units(power(np.concatenate(rows)), (self.mean, self.spread)), None)


@dataclass(frozen=True)
class Base:
    """What this device builds on.

    Attributes:
        head: the universal head; None for the backbone's own labels.
        digest: which one, see `client.device.due.base_digest`.
    """

    head: UniversalHead | None
    digest: str

    @property
    def kind(self) -> str:
        """`UNIVERSAL` or `BACKBONE`."""
        return BACKBONE if self.head is None else UNIVERSAL

    def rows(self, features: Floats) -> Floats:
        """What this base reads of a clip: one pooled row, or all frames, (rows, dimension)."""
        if self.head is None:
            return np.asarray(features.max(axis=0, keepdims=True))
        specification = self.head.specification
        if features.shape[1] != specification.dimension:
            raise WorkError(
                f"a clip's features have {features.shape[1]} numbers, the universal head reads "
                f"{specification.dimension}; it is another backbone's"
            )
        if not pools_first(specification.kind):
            return features
        lengths = np.array([len(features)], dtype=np.int64)
        return pooled_frames(specification.pooling, features, lengths).astype(np.float32)

    def get_acquainted(self, rows: Sequence[Floats]) -> Eye:
        """Know a user by clips whose labels are not looked at; with none, nobody in particular."""
        if self.head is None:
            return _own_units_of(rows)
        if not rows:
            return UniversalEye(self.head, _nobody(self.head))
        return UniversalEye(self.head, statistics_of(self.head, _clip_set(rows)))

    def remember(self, arrays: Mapping[str, Any]) -> Eye:
        """Know a user by what `Eye.arrays` gave."""
        mean, spread = arrays["mean"], arrays["spread"]
        if self.head is None:
            return BackboneEye(mean, spread)
        return UniversalEye(self.head, UserStatistics(mean, spread, float(arrays["trust"][0])))


def base_of(vault: Vault, spec: str) -> Base:
    """The base for features of a spec.

    Raises:
        WorkError: the stored universal head can't be used.
    """
    stored = usable_universal(vault, spec)
    return Base(None if stored is None else universal_head(stored), base_digest(stored))


def universal_head(stored: StoredHead) -> UniversalHead:
    """A stored universal head, checked against its specification.

    Raises:
        WorkError: its arrays are not those of its specification.
    """
    try:
        specification = HeadSpecification(**specification_of(stored))
    except (UsageError, TypeError) as error:
        raise WorkError(f"the device's universal head can't be used: {error}") from error
    shapes = specification.all_shapes()
    found = {name: tuple(array.shape) for name, array in stored.arrays.items()}
    if found != shapes or specification.classes != CLASSES:
        raise WorkError(
            "the device's universal head can't be used: its arrays are not those of its "
            "specification; give the device a head with `mien device head FILE`"
        )
    return UniversalHead(
        specification, {name: array.astype(np.float32) for name, array in stored.arrays.items()}
    )


def stored_universal(head: UniversalHead, about: Mapping[str, Any]) -> StoredHead:
    """A universal head as the vault keeps it; `about` may tell its round and where it is from."""
    told = {**about, "specification": head.specification.to_json()}
    return StoredHead(arrays=dict(head.arrays), about=told)


def _clip_set(rows: Sequence[Floats]) -> ClipSet:
    names = [str(number) for number in range(len(rows))]
    return make_clip_set(names, ["user"] * len(rows), [0] * len(rows), rows)


def _nobody(head: UniversalHead) -> UserStatistics:
    width = head.specification.dimension
    return UserStatistics(np.zeros(width), np.ones(width), 0.0)


def _own_units_of(rows: Sequence[Floats]) -> BackboneEye:
    if not rows:
        return BackboneEye(np.zeros(1), np.ones(1))
    return BackboneEye(*own_scale(power(np.concatenate(rows))))
