"""One measurement of the detectors: a fold of a world's people, from pictures to scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from client.avatar.detectors import personal
from client.avatar.detectors.file import NAMES
from client.avatar.detectors.interface import MadeFor
from client.avatar.detectors.training import Labelled, scores_of, train
from simulations.avatars.people import World, fold_of
from simulations.avatars.readings import MOVEMENTS, Crowd, crowds

DIGITS: Final = 6
MADE_FOR: Final = MadeFor(MOVEMENTS, MOVEMENTS)
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PairTask:
    """Settings of one measurement.

    Attributes:
        seed: of the world and of every other random choice.
        fold: 0 to 2, see `people.fold_of`.
        actors, faces, avatars, pairs, strangers, each: as of `people.Amounts`.
        difficulty: digest of what was drawn.
        kind: tells it from other tasks.
    """

    seed: int
    fold: int
    actors: int
    faces: int
    avatars: int
    pairs: int
    strangers: int
    each: int
    difficulty: str
    kind: str = "synthetic pairs"


def measure_pairs(task: PairTask, world: World, progress: Callable[[float], None]) -> Record:
    """Train every detector on the fold's training people and score its test people's pairs."""
    torch.set_num_threads(1)  # sums keep their order
    fold = fold_of(task.actors, task.fold)
    parts = crowds(world, fold, seed=task.seed)
    test = parts.test
    progress(0.4)
    found = {}
    for done, name in enumerate(NAMES, start=1):
        pairs = parts.training if name == personal.NAME else parts.practice
        detector = train(
            name, _labelled(pairs), _labelled(parts.validation), MADE_FOR, seed=task.seed
        )
        scores = scores_of(detector, test.pairs)
        found[name] = {
            "threshold": detector.threshold,
            "scores": [round(score, DIGITS) for score in scores.tolist()],
        }
        progress(0.4 + 0.6 * done / len(NAMES))
    return {
        "detectors": found,
        "mismatch": test.mismatch.tolist(),
        "actors": test.actors.tolist(),
        "shown": test.shown.tolist(),
        "read": _right(test),
        "fold": {
            "training": list(fold.training),
            "validation": list(fold.validation),
            "test": list(fold.test),
        },
        "training_pairs": len(parts.training.pairs),
        "practice_pairs": len(parts.practice.pairs),
        "validation_pairs": len(parts.validation.pairs),
    }


def _labelled(crowd: Crowd) -> Labelled:
    return Labelled(crowd.pairs, crowd.mismatch, crowd.shown)


def _right(crowd: Crowd) -> dict[str, float]:
    """Share of pictures in test pairs whose expression each head reads rightly."""
    right = dict.fromkeys(("face", "own_face", "avatar", "own_avatar"), 0)
    for pair, (face, avatar) in zip(crowd.pairs, crowd.shown.tolist(), strict=True):
        right["face"] += int(pair.face.probabilities.argmax() == face)
        right["avatar"] += int(pair.avatar.probabilities.argmax() == avatar)
        right["own_face"] += int(pair.personal is not None and pair.personal.argmax() == face)
        right["own_avatar"] += int(
            pair.own_avatar is not None and pair.own_avatar.argmax() == avatar
        )
    return {name: count / len(crowd.pairs) for name, count in right.items()}
