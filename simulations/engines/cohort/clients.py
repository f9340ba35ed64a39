"""All devices' clips in one array, and padded blocks of devices cut from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from common.clips import ClipSet
from common.heads.kinds import pools_first
from common.heads.specification import HeadSpecification
from common.heads.universal import pooled_frames

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
POOLED_AT_ONCE = 1 << 26
"""Entries of the frames that are pooled in one go."""


@dataclass(frozen=True)
class Cohort:
    """The clips of all clients, client after client.

    Attributes:
        frames: (all frames, dimension) float32, clip after clip; float64 where they are means.
        lengths: (clips,) frames of each clip, each at least 1.
        labels: (clips,) index into `EXPRESSIONS`.
        owners: (clips,) the user of each clip, counted from 0 on each client.
        counts: (clients,) clips of each client.
    """

    frames: npt.NDArray[np.floating]
    lengths: Integers
    labels: Integers
    owners: Integers
    counts: Integers

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def clip_starts(self) -> Integers:
        """(clients,) index of each client's first clip."""
        return np.cumsum(self.counts) - self.counts

    @property
    def frame_starts(self) -> Integers:
        """(clips,) index of each clip's first frame."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def longest(self) -> Integers:
        """(clients,) frames of each client's longest clip, 0 without clips."""
        most = np.zeros(len(self), dtype=np.int64)
        np.maximum.at(most, np.repeat(np.arange(len(self)), self.counts), self.lengths)
        return most


def cohort_of(devices: Sequence[ClipSet]) -> Cohort:
    """A cohort of at least one device; a device without clips has none here either."""
    owners = [_numbers(clips.users) for clips in devices]
    return Cohort(
        np.concatenate([clips.frames for clips in devices]),
        np.concatenate([clips.lengths for clips in devices]),
        np.concatenate([clips.labels for clips in devices]),
        np.concatenate(owners),
        np.array([len(clips) for clips in devices], dtype=np.int64),
    )


def _numbers(users: Sequence[str]) -> Integers:
    return np.unique(np.array(users, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def pooled(specification: HeadSpecification, cohort: Cohort) -> Cohort:
    """The cohort as heads of a specification read it: one row per clip if its kind pools first."""
    if not pools_first(specification.kind) or len(cohort.lengths) == len(cohort.frames):
        return cohort
    precise = np.float64 if specification.pooling == "mean" else cohort.frames.dtype
    rows = np.empty((len(cohort.lengths), cohort.frames.shape[1]), dtype=precise)
    at_once = max(1, POOLED_AT_ONCE // (cohort.frames.shape[1] * int(cohort.lengths.max())))
    starts = cohort.frame_starts
    for first in range(0, len(rows), at_once):
        lengths = cohort.lengths[first : first + at_once]
        frames = cohort.frames[starts[first] : starts[first] + int(lengths.sum())]
        rows[first : first + at_once] = pooled_frames(specification.pooling, frames, lengths)
    return replace(cohort, frames=rows, lengths=np.ones_like(cohort.lengths))


@dataclass(frozen=True)
class Block:
    """Some clients, padded to the one with the most clips and to the longest clip.

    Attributes:
        numbers: (clients,) of the cohort.
        frames: (clients, clips, frames) index into the cohort's frames; 0 where padded.
        mask: (clients, clips, frames) true where there is a frame.
        clips: (clients, clips) true where there is a clip.
        labels: (clients, clips), 0 where padded.
        owners: (clients, clips), 0 where padded.
    """

    numbers: Integers
    frames: Integers
    mask: Flags
    clips: Flags
    labels: Integers
    owners: Integers

    @property
    def counts(self) -> Integers:
        """(clients,) clips of each client."""
        return np.asarray(self.clips.sum(axis=1))


@dataclass(frozen=True)
class Cutter:
    """Cuts blocks out of a cohort, with the cohort's offsets at hand."""

    cohort: Cohort
    clip_starts: Integers
    frame_starts: Integers
    longest: Integers

    @classmethod
    def of(cls, cohort: Cohort) -> Cutter:
        """A cutter for a cohort."""
        return cls(cohort, cohort.clip_starts, cohort.frame_starts, cohort.longest)

    def groups(self, clients: Integers, entries: int) -> Iterator[Integers]:
        """Clients alike in size together, a padded group of at most `entries` entries.

        A client that is larger by itself is a group by itself.
        """
        counts, longest = self.cohort.counts[clients], self.longest[clients]
        ordered = clients[np.lexsort((clients, counts, longest))]
        width = self.cohort.frames.shape[1]
        start, most = 0, 0
        for end, client in enumerate(ordered.tolist()):
            grown = max(most, int(self.cohort.counts[client]))
            size = (end - start + 1) * grown * int(self.longest[client]) * width
            if end > start and size > entries:
                yield ordered[start:end]
                start, grown = end, int(self.cohort.counts[client])
            most = grown
        if len(ordered):
            yield ordered[start:]

    def block(self, clients: Integers) -> Block:
        """The clients (at least one, each with at least one clip) as a block."""
        cohort, counts = self.cohort, self.cohort.counts[clients]
        places = np.arange(int(counts.max()))
        there = places < counts[:, None]
        clip = np.where(there, self.clip_starts[clients, None] + places, 0)
        steps = np.arange(int(self.longest[clients].max()))
        mask = (steps < cohort.lengths[clip][..., None]) & there[..., None]
        return Block(
            numbers=clients,
            frames=np.where(mask, self.frame_starts[clip][..., None] + steps, 0),
            mask=mask,
            clips=there,
            labels=np.where(there, cohort.labels[clip], 0),
            owners=np.where(there, cohort.owners[clip], 0),
        )
