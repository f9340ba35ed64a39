"""Splits: which users a universal head is trained on, and which clips of a user test it.

`by-take`: universal heads from other users only (folds of users); a user adapts on repetition 1
and is tested on repetition 2. `folds`: the subject-wise five folds of RAVDESS's actors that
Luna-Jimenez et al. published (Sensors 21(22):7665, 2021); each user is tested on all clips, in two
halves: adapt on repetition 1, test on 2, and the other way round. A take is never on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.clips import ClipSet
from common.errors import UsageError
from common.ravdess import ClipName, Take

PROTOCOLS = ("by-take", "folds")
PUBLISHED_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)


@dataclass(frozen=True)
class Split:
    """One user's adaptation and test clips, as names, and the federation that left the user out."""

    federation: str
    user: str
    adaptation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    """Federations by name with the users held out of each, and the splits to be tested."""

    name: str
    held_out: dict[str, tuple[str, ...]]
    splits: tuple[Split, ...]


def one_file_per_take(
    clips: ClipSet, ravdess: Sequence[ClipName] | None
) -> tuple[tuple[int, ...], tuple[tuple[str, str], ...]]:
    """Indices of the clips to use, and (clip, reason) of those left out as second files of a take.

    Audio-video and video-only files of one take are the same footage: with both in, a test clip
    would have its twin in training. The file that comes first in the table stays.
    """
    if ravdess is None:
        return tuple(range(len(clips))), ()
    first: dict[Take, int] = {}
    left_out = []
    for index, name in enumerate(ravdess):
        kept = first.setdefault(name.take, index)
        if kept != index:
            reason = f"same take as {clips.names[kept]}"
            left_out.append((clips.names[index], reason))
    return tuple(sorted(first.values())), tuple(left_out)


def make_protocol(
    name: str, clips: ClipSet, ravdess: Sequence[ClipName] | None, *, folds: int
) -> Protocol:
    """Plan a protocol over clips that hold each take once.

    Args:
        name: one of `PROTOCOLS`.
        clips: all users' clips.
        ravdess: their parsed names, or None; then a user's clips of an expression are split
            alternately in name order.
        folds: number of user folds of `by-take`, at least 2; more than there are users means
            leave one user out.

    Raises:
        UsageError: an unknown protocol, `folds` without RAVDESS names, a user without clips on
            one side.
    """
    repetitions = _repetitions(clips, ravdess)
    if name == "by-take":
        groups = _contiguous_groups(clips.user_names(), folds)
        directions: tuple[tuple[int, int], ...] = ((1, 2),)
    elif name == "folds":
        groups = _published_groups(clips, ravdess)
        directions = ((1, 2), (2, 1))
    else:
        raise UsageError(f"protocol is {name!r}, expected one of {', '.join(PROTOCOLS)}")
    held_out = {f"fold-{number}": users for number, users in enumerate(groups, start=1)}
    splits = tuple(
        _split(clips, repetitions, federation, user, adapt, test)
        for federation, users in held_out.items()
        for user in users
        for adapt, test in directions
    )
    return Protocol(name, held_out, splits)


def _repetitions(clips: ClipSet, ravdess: Sequence[ClipName] | None) -> list[int]:
    if ravdess is not None:
        return [name.repetition for name in ravdess]
    counts: dict[tuple[str, int], int] = {}
    result = [0] * len(clips)
    for index in np.argsort(np.array(clips.names), kind="stable"):
        key = clips.users[index], int(clips.labels[index])
        result[index] = 1 + counts.get(key, 0) % 2
        counts[key] = counts.get(key, 0) + 1
    return result


def _contiguous_groups(users: Sequence[str], folds: int) -> list[tuple[str, ...]]:
    """Groups of neighbours, sizes equal to one: RAVDESS alternates sexes, so they are balanced."""
    parts = np.array_split(np.arange(len(users)), min(folds, len(users)))
    return [tuple(users[index] for index in part) for part in parts]


def _published_groups(clips: ClipSet, ravdess: Sequence[ClipName] | None) -> list[tuple[str, ...]]:
    if ravdess is None:
        raise UsageError("protocol 'folds' is of RAVDESS's actors; use RAVDESS names or 'by-take'")
    present = set(clips.users)
    groups = [
        tuple(f"actor-{actor:02d}" for actor in sorted(group) if f"actor-{actor:02d}" in present)
        for group in PUBLISHED_FOLDS
    ]
    kept = [group for group in groups if group]
    if len(kept) < 2:
        raise UsageError("protocol 'folds' needs actors of at least 2 published folds")
    return kept


def _split(
    clips: ClipSet, repetitions: Sequence[int], federation: str, user: str, adapt: int, test: int
) -> Split:
    own = [index for index, owner in enumerate(clips.users) if owner == user]
    sides = [
        tuple(clips.names[index] for index in own if repetitions[index] == repetition)
        for repetition in (adapt, test)
    ]
    if not all(sides):
        raise UsageError(
            f"user {user} has {len(sides[0])} clips to adapt on and {len(sides[1])} to test on; "
            "each needs at least 1 (two repetitions of an expression)"
        )
    return Split(federation, user, sides[0], sides[1])
