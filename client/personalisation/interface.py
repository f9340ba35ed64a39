"""What every personalisation method gets and gives.

A method is a function from a user's labelled clips, as one universal head sees them, to something
that gives logits for other clips of the same user. It draws nothing but from the seed it is given,
and leaves the universal head as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch

from client.personalisation.heads import PersonalSettings
from client.personalisation.maximum_a_posteriori import Prior
from client.personalisation.solver import Labels, Rows
from common.clips import ClipSet
from common.heads.batch import ClipBatch
from common.heads.standardise import UserStatistics, own_scale, own_units
from common.heads.universal import (
    Inputs,
    UniversalHead,
    clip_rows,
    inputs_of,
    statistics_of,
    universal_logits,
    user_descriptors,
)


@dataclass(frozen=True)
class View:
    """Clips of one user as one universal head sees them, without their labels.

    Attributes:
        head: the universal head.
        inputs: what its branches read.
        trust: 0..1, how far its user branch is believed.
        universal: (clips, classes) mixed logits.
        descriptors: (clips, dimension) of the user branch.
        own: (clips, dimension) descriptors with no population figure in them.
    """

    head: UniversalHead
    inputs: Inputs
    trust: float
    universal: Rows
    descriptors: Rows
    own: Rows

    def __len__(self) -> int:
        return len(self.universal)

    @property
    def raw(self) -> Rows:
        """(clips, classes) logits of the population branch alone."""
        return universal_logits(self.head, self.inputs, 0.0).numpy()

    def select(self, indices: list[int]) -> View:
        """Some of the clips."""
        chosen = torch.tensor(indices, dtype=torch.int64)
        inputs = Inputs(
            _trimmed(self.inputs.population, chosen), _trimmed(self.inputs.user, chosen)
        )
        return View(
            self.head,
            inputs,
            self.trust,
            self.universal[indices],
            self.descriptors[indices],
            self.own[indices],
        )


def _trimmed(batch: ClipBatch, chosen: torch.Tensor) -> ClipBatch:
    """The chosen clips, padded to the longest of them."""
    part = batch.select(chosen)
    longest = int(part.mask.sum(1).max()) if len(part) else 0
    return ClipBatch(part.frames[:, :longest], part.mask[:, :longest])


@dataclass(frozen=True)
class Acquaintance:
    """What is known of a user from unlabelled clips, and so what the user's clips look like.

    Attributes:
        head: the universal head.
        statistics: the user's own mean and spread in the reference's units.
        own_scale: (dimension,) mean and spread of clips without any population figure; None leaves
            views without descriptors of their own.
    """

    head: UniversalHead
    statistics: UserStatistics
    own_scale: tuple[Rows, Rows] | None = None

    def view(self, clips: ClipSet) -> View:
        """See clips of the user (at least one) through the head."""
        inputs = inputs_of(self.head, clips, self.statistics)
        rows = clip_rows(self.head.specification, clips)
        scale, means = self.own_scale, rows.clip_means
        return View(
            self.head,
            inputs,
            self.statistics.trust,
            universal_logits(self.head, inputs, self.statistics.trust).numpy(),
            user_descriptors(self.head, inputs.user).numpy(),
            own_units(means, scale) if scale else means[:, :0],
        )


def get_acquainted(head: UniversalHead, unlabelled: ClipSet) -> Acquaintance:
    """Take a user's statistics from clips (at least one) whose labels are not looked at."""
    rows = clip_rows(head.specification, unlabelled)
    return Acquaintance(head, statistics_of(head, unlabelled), own_scale(rows.clip_means))


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """Settings of every method.

    Attributes:
        prior: of `map`.
        alone: of `local-only`: scale 0.
        confident: see `confident`; off by default.
        unlabelled: clips that `confident` may learn from.
        seed, user: of random choices.
    """

    prior: Prior = field(default_factory=Prior)
    alone: PersonalSettings = field(default_factory=lambda: PersonalSettings(scale=0.0))
    confident: bool = False
    unlabelled: View | None = None
    seed: int = 0
    user: str = ""


class Personalised(Protocol):
    """One user's head, by whatever method."""

    @property
    def reason(self) -> str:
        """Which head answers and why, one sentence."""
        ...

    @property
    def personal(self) -> bool:
        """Whether anything but the universal head answers."""
        ...

    def logits(self, view: View) -> Rows:
        """(clips, classes) for clips of the same user, seen by the same universal head."""
        ...


class Method(Protocol):
    """A personalisation method."""

    def __call__(self, view: View, labels: Labels, fitting: Fitting) -> Personalised:
        """Make a user's head.

        Args:
            view: the user's labelled clips, at least one.
            labels: (clips,) in 0..classes-1.
            fitting: settings.
        """
        ...
