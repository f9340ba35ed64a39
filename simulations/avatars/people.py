"""What is drawn of each synthetic actor for an experiment, and which actors train, validate, test.

Of each actor: own faces that the user confirmed (for the personal head; never in a pair), own
avatars that the device drew with known expressions (for the avatar's head; never in a pair), pairs,
and the actor's face and avatar with strangers' manners, from which detectors learn where the actor
trains, and which are not looked at where the actor validates or tests. Every actor is a test actor
in exactly one of three folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from simulations.avatars.difficulty import FROZEN, Difficulty
from simulations.avatars.gradients import histograms
from simulations.avatars.pairs import plan_pairs
from simulations.avatars.pictures import ACTORS, AVATAR, FACE, Shot, draw, shots
from simulations.watching import Watcher, unwatched

FOLDS: Final = 3
VALIDATING: Final = 4
OWN: Final = "own"
PAIRS: Final = "pairs"
STRANGERS: Final = "stranger"
DOMAINS: Final = (FACE, AVATAR)
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much is drawn of each actor.

    Attributes:
        faces: confirmed own pictures of each expression.
        avatars: own avatars of each expression.
        pairs: faces in pairs of each expression, each with one avatar.
        strangers: manners that each actor's face and avatar are drawn with beside the own.
        each: pictures of each expression, stranger's manner and domain.
        actors: 6 to 24.
    """

    faces: int = 6
    avatars: int = 8
    pairs: int = 8
    strangers: int = 16
    each: int = 1
    actors: int = ACTORS


@dataclass(frozen=True, eq=False)
class Album:
    """All pictures of one domain as histograms.

    Attributes:
        rows: (pictures, figures).
        labels, actors: (pictures,).
        own: (pictures,) whether it is an own picture, outside of all pairs.
        manners: (pictures,) 0 is the actor's own, others are strangers'.
    """

    rows: Floats
    labels: Integers
    actors: Integers
    own: npt.NDArray[np.bool_]
    manners: Integers

    def of(self, actors: Sequence[int]) -> npt.NDArray[np.bool_]:
        """(pictures,) whether a picture is of one of these, in the own manner."""
        return np.asarray(np.isin(self.actors, actors) & (self.manners == 0))

    def paired(self, actor: int) -> npt.NDArray[np.bool_]:
        """(pictures,) whether a picture is in one of an actor's pairs."""
        return self.of([actor]) & ~self.own


@dataclass(frozen=True, eq=False)
class World:
    """All actors of a seed.

    Attributes:
        albums: by domain; their pictures in pairs stand in the same order, pair by pair.
        amounts: how much there is.
        seed: of the world.
    """

    albums: dict[str, Album]
    amounts: Amounts
    seed: int


@dataclass(frozen=True)
class Fold:
    """Who does what: no actor does two things."""

    training: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def fold_of(actors: int, fold: int) -> Fold:
    """Fold 0 to `FOLDS` - 1 of actors 1 to `actors`; both sexes are in each part.

    >>> fold_of(24, 0).test
    (5, 6, 11, 12, 17, 18, 23, 24)
    """
    everybody = range(1, actors + 1)
    test = tuple(a for a in everybody if (a - 1) // 2 % FOLDS == (fold + 2) % FOLDS)
    others = [a for a in everybody if a not in test]
    few = max(1, min(VALIDATING, len(others) // 3))
    start = (2 * fold) % len(others)
    chosen = {others[(start + place) % len(others)] for place in range(few)}
    training = tuple(a for a in others if a not in chosen)
    return Fold(training, tuple(sorted(chosen)), test)


def draw_world(
    seed: int,
    amounts: Amounts,
    *,
    difficulty: Difficulty = FROZEN,
    workers: int = 1,
    watch: Watcher = unwatched,
) -> World:
    """Draw everybody of a seed; the same for any number of workers."""
    wanted = _wanted(seed, amounts)
    total = sum(map(len, wanted.values()))
    albums, done = {}, 0
    for domain, chosen in wanted.items():
        rows = []
        for histogram in draw(chosen, histograms, difficulty, workers=workers):
            rows.append(histogram)
            done += 1
            watch("synthetic pictures drawn", done, total)
        albums[domain] = Album(
            np.stack(rows),
            np.array([shot.label for shot in chosen], dtype=np.int64),
            np.array([shot.actor for shot in chosen], dtype=np.int64),
            np.array([shot.name == OWN for shot in chosen]),
            np.array([shot.manner for shot in chosen], dtype=np.int64),
        )
    return World(albums, amounts, seed)


def _wanted(seed: int, amounts: Amounts) -> dict[str, list[Shot]]:
    """Shots of each domain, actor by actor: the own ones, then those in pairs."""
    found: dict[str, list[Shot]] = {FACE: [], AVATAR: []}
    for actor in range(1, amounts.actors + 1):
        planned = plan_pairs(seed, actor, PAIRS, amounts.pairs)
        found[FACE] += shots(seed, actor, FACE, OWN, amounts.faces)
        found[FACE] += [face for face, _ in planned]
        found[AVATAR] += shots(seed, actor, AVATAR, OWN, amounts.avatars)
        found[AVATAR] += [avatar for _, avatar in planned]
        for domain in DOMAINS:
            found[domain] += _strange(seed, actor, domain, amounts)
    return found


def _strange(seed: int, actor: int, domain: str, amounts: Amounts) -> list[Shot]:
    plain = shots(seed, actor, domain, STRANGERS, amounts.each)
    return [
        replace(shot, manner=manner) for manner in range(1, amounts.strangers + 1) for shot in plain
    ]
