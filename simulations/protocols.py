"""Splits: which users a universal head is trained on, and which clips of a user test it.

`by-take`: universal heads from other users only (folds of users); a user adapts on repetition 1
and is tested on repetition 2. `folds`: the subject-wise five folds of RAVDESS's actors that
Luna-Jimenez et al. published (Sensors 21(22):7665, 2021); each user is tested on all clips, in two
halves: adapt on repetition 1, test on 2, and the other way round. A take is never on both sides.

`paper` (Churaev and Savchenko, Computer Optics 47(5), 2023, 806-815) is for comparison with what
they published: users are actors 1 to 5, the universal head is from all other actors, and 80 % of a
user's clips, drawn at random over both modalities, adapt. **It leaks**: audio-video and video-only
files of a take are the same footage, so most test clips have their twin among those adapted on.
`twinned` says which, and `folds_of_others` allows to choose settings on the other actors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.clips import ClipSet
from common.errors import UsageError
from common.randomness import generator
from common.ravdess import ClipName, Take

PROTOCOLS = ("by-take", "folds")
PUBLISHED_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
PAPER = "paper"
PAPER_USERS = (1, 2, 3, 4, 5)
PAPER_TEST_SHARE = 0.2
"""Of a user's clips, rounded up: 42 of RAVDESS's 208."""


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


def paper_protocol(clips: ClipSet, ravdess: Sequence[ClipName] | None, *, seed: int) -> Protocol:
    """The paper's protocol over clips of one or both modalities.

    Args:
        clips: all users' clips, twins included.
        ravdess: their parsed names.
        seed: of each user's random 80 % and 20 %.

    Raises:
        UsageError: no RAVDESS names, none of actors 1 to 5, nobody else, or a user with one clip.
    """
    if ravdess is None:
        raise UsageError("protocol 'paper' is of RAVDESS's actors; use RAVDESS names or 'by-take'")
    present = clips.user_names()
    users = tuple(user for user in map(_actor, PAPER_USERS) if user in present)
    if not users or len(users) == len(present):
        raise UsageError(
            "protocol 'paper' tests actors 1 to 5 on a head from all others; there are "
            f"{len(users)} of the former and {len(present) - len(users)} of the latter, and each "
            "needs at least 1"
        )
    splits = tuple(_random_split(clips, user, seed) for user in users)
    return Protocol(PAPER, {PAPER: users}, splits)


def _actor(number: int) -> str:
    return f"actor-{number:02d}"


def _random_split(clips: ClipSet, user: str, seed: int) -> Split:
    own = [name for name, owner in zip(clips.names, clips.users, strict=True) if owner == user]
    tested = math.ceil(PAPER_TEST_SHARE * len(own))
    if tested == len(own):
        raise UsageError(f"user {user} has {len(own)} clip; protocol 'paper' needs at least 2")
    order = generator(seed, "paper split", user=user).permutation(len(own))
    test = set(order[:tested].tolist())
    sides = [
        tuple(own[i] for i in range(len(own)) if (i in test) is wanted) for wanted in (False, True)
    ]
    return Split(PAPER, user, sides[0], sides[1])


def twinned(split: Split, takes: Mapping[str, Take]) -> tuple[bool, ...]:
    """Per test clip of a split, whether the same take is also among the clips adapted on.

    `takes` gives the take of every clip by name.
    """
    known = {takes[name] for name in split.adaptation}
    return tuple(takes[name] in known for name in split.test)


def folds_of_others(
    protocol: Protocol, clips: ClipSet, ravdess: Sequence[ClipName] | None, *, folds: int
) -> Protocol:
    """The protocol, and beside it by-take folds of the users whom it never tests.

    Settings for its own federations can then be chosen on those users. Twins of a take are of the
    same repetition, so they are on the same side of each split.

    Args:
        protocol: such as `paper_protocol`.
        clips, ravdess: as it was made of.
        folds: number of folds of the other users, at least 2.
    """
    tested = {user for users in protocol.held_out.values() for user in users}
    rest = [index for index, user in enumerate(clips.users) if user not in tested]
    names = [ravdess[index] for index in rest] if ravdess else None
    others = make_protocol("by-take", clips.select(rest), names, folds=folds)
    return Protocol(
        protocol.name, protocol.held_out | others.held_out, protocol.splits + others.splits
    )


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
