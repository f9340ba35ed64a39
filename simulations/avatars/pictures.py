"""Pictures of synthetic actors and of their avatars, drawn in processes.

A picture is a function of (seed, actor, domain, set, index) and the difficulty, never of the order
or the process in which it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from common.expressions import EXPRESSIONS
from common.randomness import generator
from simulations.actors.cartoon import render_avatar
from simulations.actors.face import Light, Pose, render_frame
from simulations.actors.identity import dressed
from simulations.avatars.difficulty import FROZEN, Difficulty
from simulations.avatars.manners import Manner, person, rig

FACE: Final = "face"
AVATAR: Final = "avatar"
ACTORS: Final = 24
_SCALE: Final = 1.42
_CHUNK: Final = 24
_STRANGER: Final = 1000
"""Manners of strangers are those of actors beyond all real ones."""

Picture = npt.NDArray[np.uint8]
"""RGB `(size, size, 3)`."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shot:
    """Which picture is drawn.

    Attributes:
        seed: of the world.
        actor: 1 to 24.
        domain: `FACE` or `AVATAR`.
        label: index into `EXPRESSIONS`.
        name: of the set that it belongs to; sets have no picture in common.
        index: in the set.
        manner: 0 is the actor's own; others are strangers' manners in the actor's face, with which
            detectors are trained.
    """

    seed: int
    actor: int
    domain: str
    label: int
    name: str
    index: int
    manner: int = 0


def shots(seed: int, actor: int, domain: str, name: str, per_expression: int) -> list[Shot]:
    """A set of one actor's pictures, as many of each expression."""
    return [
        Shot(seed, actor, domain, label, name, index)
        for index in range(per_expression)
        for label in range(len(EXPRESSIONS))
    ]


@lru_cache(maxsize=64)
def _manner(seed: int, actor: int, domain: str, difficulty: Difficulty) -> Manner:
    return (person if domain == FACE else rig)(seed, actor, difficulty)


def take(shot: Shot, difficulty: Difficulty = FROZEN, *, size: int = 0) -> Picture:
    """Draw one picture.

    Args:
        shot: which.
        difficulty: how hard.
        size: pixels; 0 for the difficulty's own.
    """
    random = generator(
        shot.seed,
        f"{shot.domain} {shot.name}",
        round=shot.index,
        client=shot.actor + _STRANGER * shot.manner,
        user=shot.label,
    )
    intensity = float(random.uniform(difficulty.weakest, difficulty.strongest))
    manner = _manner(shot.seed, shot.actor + _STRANGER * shot.manner, shot.domain, difficulty)
    units = manner.show(shot.label, intensity, random)
    pose, size = _pose(difficulty, random), size or difficulty.size
    identity = dressed(shot.seed, shot.actor)
    if shot.domain == FACE:
        picture = render_frame(identity, units, pose, _light(random), size)
    else:
        picture = render_avatar(identity, units, pose, size)
    return _spoilt(picture, difficulty, random)


def _pose(difficulty: Difficulty, random: np.random.Generator) -> Pose:
    yaw, pitch, roll = (difficulty.turn * random.standard_normal(3) * (1.0, 0.7, 0.6)).tolist()
    x, y = (difficulty.shift * random.standard_normal(2)).tolist()
    scale = _SCALE * (1.0 + difficulty.zoom * float(random.standard_normal()))
    gaze_x, gaze_y = (0.01 * random.standard_normal(2)).tolist()
    return Pose(yaw, pitch, roll, x, y, scale, gaze_x, gaze_y)


def _light(random: np.random.Generator) -> Light:
    azimuth, elevation = random.uniform(-40.0, 40.0), random.uniform(12.0, 45.0)
    lamp, room = random.uniform(0.45, 0.7), random.uniform(0.4, 0.6)
    return Light(azimuth, elevation, lamp, room, random.uniform(-1.0, 1.0))


def _spoilt(picture: Picture, difficulty: Difficulty, random: np.random.Generator) -> Picture:
    """The picture as a camera of that kind sees it; more pixels have as much blur between them."""
    sigma = float(random.uniform(0.0, difficulty.blur)) * len(picture) / difficulty.size
    image = picture.astype(np.float32)
    if sigma > 0.2:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    image += random.normal(0.0, difficulty.noise, picture.shape).astype(np.float32)
    return np.asarray(np.clip(image + 0.5, 0.0, 255.0), np.uint8)


def draw(
    wanted: Sequence[Shot],
    see: Callable[[Picture], Floats],
    difficulty: Difficulty = FROZEN,
    *,
    workers: int = 1,
) -> Iterator[Floats]:
    """What an importable function sees in each picture, in the order asked for.

    Pictures are drawn in so many processes (1 is this one) and not kept.
    """
    parts = [(wanted[i : i + _CHUNK], see, difficulty) for i in range(0, len(wanted), _CHUNK)]
    if workers == 1 or len(parts) == 1:
        for part in parts:
            yield from _part(part)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_single_thread) as pool:
        for seen in pool.map(_part, parts):
            yield from seen


def _part(job: tuple[Sequence[Shot], Callable[[Picture], Floats], Difficulty]) -> list[Floats]:
    part, see, difficulty = job
    return [see(take(shot, difficulty)) for shot in part]


def _single_thread() -> None:
    cv2.setNumThreads(1)
