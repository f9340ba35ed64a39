"""The universal head: two branches over differently standardised features, mixed by trust.

`logits = (1 - trust) * population branch + trust * user branch`. With no clips of a user the
population branch answers alone; the more expressions a user's unlabelled clips cover, the more
the user branch counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.clips import ClipSet, Integers
from common.heads.batch import ClipBatch, pad_clips
from common.heads.kinds import descriptor, initial_parameters, logits, pools_first
from common.heads.specification import BRANCHES, HeadSpecification
from common.heads.standardise import (
    Reference,
    Rows,
    UserStatistics,
    own_scale,
    own_units,
    population_inputs,
    power,
    to_units,
    user_inputs,
    user_statistics,
    within_expressions,
)
from common.randomness import generator

Arrays = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class UniversalHead:
    """A specification with the values of all its arrays, float32 as they travel."""

    specification: HeadSpecification
    arrays: Arrays

    @property
    def reference(self) -> Reference:
        """The population's reference."""
        return Reference(
            self.arrays["reference.centre"].astype(np.float64),
            self.arrays["reference.spread"].astype(np.float64),
        )

    @property
    def scatter(self) -> Rows | None:
        """(dimension, dimension) how features move together within an expression, if it is held."""
        if not self.specification.scatter:
            return None
        return self.arrays["reference.scatter"].astype(np.float64)

    def branch(self, name: str) -> dict[str, Tensor]:
        """Parameters of one branch of `BRANCHES` as float64 tensors that own their memory."""
        return {
            key: torch.from_numpy(self.arrays[f"{name}.{key}"].astype(np.float64))
            for key in self.specification.branch_shapes()
        }


@dataclass(frozen=True)
class Inputs:
    """One user's clips as both branches read them."""

    population: ClipBatch
    user: ClipBatch

    def branch(self, name: str) -> ClipBatch:
        """The batch of one branch of `BRANCHES`."""
        return self.population if name == "population" else self.user


def initial_head(specification: HeadSpecification, seed: int) -> UniversalHead:
    """The head before round 0: reference and classifiers 0, projections drawn from `seed`."""
    arrays = {
        name: np.zeros(shape, dtype=np.float32)
        for name, shape in specification.all_shapes().items()
    }
    for branch in BRANCHES:
        drawn = initial_parameters(specification, generator(seed, f"initial {branch}"))
        for name, value in drawn.items():
            arrays[f"{branch}.{name}"] = value.numpy().astype(np.float32)
    return UniversalHead(specification, arrays)


@dataclass(frozen=True)
class ClipRows:
    """Power-transformed rows of clips before standardisation, clip after clip.

    Attributes:
        values: (rows, dimension); a clip has one row if its kind of head pools first, else one
            per frame.
        lengths: (clips,) rows of each clip.
        owners: a user per clip.
    """

    values: Rows
    lengths: Integers
    owners: tuple[str, ...]

    def of_user(self, user: str) -> Rows:
        """All rows of one user's clips."""
        mine = np.repeat([owner == user for owner in self.owners], self.lengths)
        return np.asarray(self.values[mine])

    @property
    def clip_means(self) -> Rows:
        """(clips, dimension) mean row of each clip, at least one clip."""
        starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        return np.asarray(np.add.reduceat(self.values, starts, axis=0) / self.lengths[:, None])


def clip_rows(specification: HeadSpecification, clips: ClipSet) -> ClipRows:
    """The rows that heads of a specification read of clips."""
    if not pools_first(specification.kind) or len(clips) == len(clips.frames):
        return ClipRows(power(clips.frames), clips.lengths, clips.users)
    pooled = pooled_frames(specification.pooling, clips.frames, clips.lengths)
    return ClipRows(power(pooled), np.ones_like(clips.lengths), clips.users)


def pooled_frames(pooling: str, frames: npt.NDArray[np.float32], lengths: Integers) -> Rows:
    """One row per clip, (clips, dimension), of frames that stand clip after clip."""
    pool = np.maximum if pooling == "max" else np.add
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    pooled = pool.reduceat(frames.astype(np.float64), starts, axis=0)
    return pooled / lengths[:, None] if pooling == "mean" else pooled


def statistics_of(head: UniversalHead, clips: ClipSet) -> UserStatistics:
    """A user's statistics from unlabelled clips; labels are not looked at."""
    rows = clip_rows(head.specification, clips)
    return user_statistics(to_units(rows.values, head.reference), len(clips))


def scatter_of(rows: ClipRows, labels: Integers) -> Rows:
    """(dimension, dimension) sum over clips of how users' own vary within expressions.

    Args:
        rows: of at least one clip.
        labels: (clips,) expressions.
    """
    means, owners = rows.clip_means, np.array(rows.owners)
    total = np.zeros((means.shape[1], means.shape[1]))
    for user in sorted(set(rows.owners)):
        mine = owners == user
        own = own_units(means[mine], own_scale(means[mine]))
        total += within_expressions(own, labels[mine])
    return total


def statistics_by_user(head: UniversalHead, rows: ClipRows) -> dict[str, UserStatistics]:
    """Statistics of every owner, each from all of the own clips."""
    return {
        user: user_statistics(to_units(rows.of_user(user), head.reference), rows.owners.count(user))
        for user in sorted(set(rows.owners))
    }


def branch_batch(
    head: UniversalHead, rows: ClipRows, branch: str, statistics: Mapping[str, UserStatistics]
) -> ClipBatch:
    """One branch's inputs of clips of any users (at least one clip), in the clips' order."""
    units = to_units(rows.values, head.reference)
    if branch == "population":
        return pad_clips(population_inputs(units), rows.lengths)
    inputs = np.empty_like(units)
    for user in set(rows.owners):
        own = np.repeat([owner == user for owner in rows.owners], rows.lengths)
        inputs[own] = user_inputs(units[own], statistics[user])
    return pad_clips(inputs, rows.lengths)


def inputs_of(head: UniversalHead, clips: ClipSet, statistics: UserStatistics) -> Inputs:
    """Both branches' inputs of one user's clips (at least one clip)."""
    rows = clip_rows(head.specification, clips)
    own = dict.fromkeys(clips.users, statistics)
    population, user = (branch_batch(head, rows, name, own) for name in BRANCHES)
    return Inputs(population, user)


def universal_logits(head: UniversalHead, inputs: Inputs, trust: float) -> Tensor:
    """Mixed logits, (clips, classes) float64; `trust` 0 is the population branch alone."""
    kind = head.specification.kind
    population, user = (logits(kind, head.branch(name), inputs.branch(name)) for name in BRANCHES)
    return (1 - trust) * population + trust * user


def user_descriptors(head: UniversalHead, batch: ClipBatch) -> Tensor:
    """Descriptors of the user branch, (clips, dimension): what personal heads read."""
    return descriptor(head.specification.kind, head.branch("user"), batch)
