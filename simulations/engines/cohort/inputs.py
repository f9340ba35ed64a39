"""A block's clips as its clients' branches read them, each user standardised by the own figures.

All arrays here are (clients, rows, dimension) float64, a row being a frame or a pooled clip, and
0 where padded. Sums run over rows in their order, as on a device alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.heads.specification import BRANCHES
from common.heads.standardise import (
    SMALLEST_SPREAD,
    Reference,
    UserStatistics,
    coarse,
    coarse_scatter,
    population_inputs,
    power,
    to_units,
    user_inputs,
)
from common.heads.universal import ClipRows, scatter_of
from simulations.engines.cohort.clients import Block, Flags

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BlockRows:
    """Power-transformed rows of a block.

    Attributes:
        values: (clients, rows, dimension).
        members: per user's number, (clients, rows) true where the row is that user's.
        full: whether no row is padded and each client has one user.
    """

    values: Rows
    members: tuple[Flags, ...]
    full: bool

    def means(self, values: Rows, user: int) -> Rows:
        """Mean over one user's rows, (clients, dimension); 0 on clients without such a user."""
        total = values if self.full else values * self.members[user][..., None]
        count = np.maximum(self.members[user].sum(axis=1), 1)
        return np.asarray(np.add.reduce(total, axis=1) / count[:, None])

    def moments(self, values: Rows, user: int) -> tuple[Rows, Rows]:
        """Mean and spread over one user's rows, each (clients, dimension)."""
        mean = self.means(values, user)
        off = values - mean[:, None]
        return mean, np.sqrt(self.means(np.square(off, out=off), user))


def block_rows(frames: npt.NDArray[np.floating], block: Block) -> BlockRows:
    """Gather a block's rows out of the cohort's frames, (all frames, dimension)."""
    clients = len(block.numbers)
    mask = block.mask.reshape(clients, -1)
    values = power(frames[block.frames.reshape(-1)]).reshape(*mask.shape, -1)
    owners = np.broadcast_to(block.owners[..., None], block.mask.shape).reshape(clients, -1)
    users = int(block.owners.max()) + 1
    whole = bool(mask.all())
    if not whole:
        values[~mask] = 0.0
    members = tuple((owners == user) & mask for user in range(users))
    return BlockRows(values, members, whole and users == 1)


def told_references(rows: BlockRows) -> Reference:
    """What each client of the block tells of its reference: (clients, dimension) figures."""
    figures = [rows.moments(rows.values, user) for user in range(len(rows.members))]
    there = [np.asarray(member.any(axis=1))[:, None] for member in rows.members]
    users = np.sum(there, axis=0)
    centre = sum(np.where(own, mean, 0.0) for (mean, _), own in zip(figures, there, strict=True))
    spread = sum(np.where(own, wide, 0.0) for (_, wide), own in zip(figures, there, strict=True))
    return coarse(Reference(np.asarray(centre / users), np.asarray(spread / users)))


def told_scatters(rows: BlockRows, block: Block) -> Rows:
    """What each client tells of its scatter, (clients, dimension, dimension); one by one."""
    mask, lengths = block.mask.reshape(rows.values.shape[:2]), block.mask.sum(axis=2)
    told = []
    for client, values in enumerate(rows.values):
        there = block.clips[client]
        owners = tuple(f"{owner:09d}" for owner in block.owners[client][there].tolist())
        own = ClipRows(values[mask[client]], lengths[client][there], owners)
        total = scatter_of(own, block.labels[client][there])
        told.append(coarse_scatter(total, len(owners)))
    return np.stack(told)


def branch_inputs(rows: BlockRows, reference: Reference, block: Block) -> Tensor:
    """Inputs of `BRANCHES`, (branches, clients, clips, frames, dimension), 0 where padded."""
    units = to_units(rows.values, reference)
    found = np.empty((len(BRANCHES), *units.shape))
    population, own = found
    population_inputs(units, out=population)
    if not rows.full:
        population[~block.mask.reshape(population.shape[:2])] = 0.0
        own[:] = 0.0
    for user, member in enumerate(rows.members):
        mean, spread = rows.moments(units, user)
        floored = np.maximum(spread, SMALLEST_SPREAD)
        statistics = UserStatistics(mean[:, None], floored[:, None], 1.0)
        if rows.full:
            user_inputs(units, statistics, out=own)
        else:
            own[member] = user_inputs(units, statistics)[member]
    return torch.from_numpy(found.reshape(len(BRANCHES), *block.mask.shape, units.shape[-1]))
