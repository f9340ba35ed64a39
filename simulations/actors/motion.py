"""What happens during one take: expression, speech, blinks, head and light over its frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.randomness import generator
from common.ravdess import Take
from simulations.actors.action_units import AU_INDEX, Activations, Style, apex
from simulations.actors.face import Light, Pose

_VISEME_UNITS: Final = ("AU25", "AU26", "AU18", "AU20")
_KID = (0.35, 0.08, 0.0, 0.18)
_ARE = (0.45, 0.38, 0.0, 0.0)
_TALK = (0.45, 0.34, 0.25, 0.0)
_KING = (0.30, 0.10, 0.0, 0.15)
_BY = (0.40, 0.36, 0.0, 0.10)
_THE = (0.25, 0.12, 0.0, 0.0)
_DOOR = (0.35, 0.20, 0.50, 0.0)
_DOG = (0.45, 0.36, 0.18, 0.0)
_SIT = (0.30, 0.08, 0.0, 0.20)
_SYLLABLES: Final = {
    1: (_KID, _ARE, _TALK, _KING, _BY, _THE, _DOOR),
    2: (_DOG, _ARE, _SIT, _KING, _BY, _THE, _DOOR),
}
"""RAVDESS's statements, "Kids are talking by the door" and "Dogs are sitting by the door"."""

_BLINK: Final = (0.55, 1.0, 0.75, 0.3)
_BLINKS_PER_SECOND: Final = 0.6
_BY_SYLLABLE: Final = 4


@dataclass(frozen=True)
class Performance:
    """A take without its face: activations `(frames, units)`, one pose per frame, one light."""

    activations: Activations
    poses: tuple[Pose, ...]
    light: Light


def take_generator(seed: int, purpose: str, take: Take) -> np.random.Generator:
    """The generator of one take for one purpose."""
    return generator(seed, purpose, client=take.actor, user="-".join(map(str, take)))


def perform(seed: int, style: Style, take: Take, frames: int, fps: int) -> Performance:
    """How the person of `style` performs `take`; a function of the arguments only."""
    random = take_generator(seed, "take", take)
    added = apex(style, take.expression - 1, take.intensity, random)
    units = style.rest + envelope(frames, random)[:, None] * added
    units += speech(take.statement, frames, random)
    blinks = units[:, AU_INDEX["AU43"]]
    np.maximum(blinks, blink(frames, fps, random), out=blinks)
    return Performance(np.clip(units, 0.0, 1.0), _poses(seed, take, frames), _light(seed, take))


def envelope(frames: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Onset, apex and offset, `(frames,)` up to 1: clips are short, so they begin part-way."""
    start, end = random.uniform(0.15, 0.4), random.uniform(0.5, 0.85)
    rise, fall = random.uniform(0.25, 0.45), random.uniform(0.65, 0.8)
    time = np.linspace(0.0, 1.0, frames)
    onset = start + (1.0 - start) * _smooth(time / rise)
    return np.asarray(onset - (1.0 - end) * _smooth((time - fall) / (1.0 - fall)))


def _smooth(t: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def speech(statement: int, frames: int, random: np.random.Generator) -> Activations:
    """Mouth movement `(frames, units)` of the statement, spoken within the clip."""
    shapes = np.array(_SYLLABLES[statement]) * random.uniform(0.45, 0.85)
    keys = np.zeros((2 * len(shapes) + 1, len(_VISEME_UNITS)))
    keys[1::2] = shapes
    keys[2:-1:2] = 0.35 * np.minimum(shapes[:-1], shapes[1:])
    # Lips close for the b of "by".
    keys[2 * _BY_SYLLABLE] = 0.0
    time = np.linspace(0.0, len(keys) - 1.0, frames) + random.uniform(-0.2, 0.2)
    units = np.zeros((frames, len(AU_INDEX)))
    for column, name in enumerate(_VISEME_UNITS):
        units[:, AU_INDEX[name]] = np.interp(time, np.arange(len(keys)), keys[:, column])
    return units


def blink(frames: int, fps: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Lid closure `(frames,)`, 0 to 1, with at most one blink."""
    closure = np.zeros(frames + len(_BLINK))
    at = int(random.integers(frames))
    if random.uniform() < _BLINKS_PER_SECOND * frames / fps:
        closure[at : at + len(_BLINK)] = _BLINK
    return closure[:frames]


def _sway(random: np.random.Generator, frames: int, size: float) -> NDArray[np.float64]:
    """A slow random movement `(frames,)` about a random place, of order `size`."""
    time = np.linspace(0.0, 1.0, frames)
    phase, speed = random.uniform(0, 2 * np.pi), random.uniform(0.4, 1.2)
    wave = np.sin(2 * np.pi * speed * time + phase)
    return size * (random.normal(0.0, 0.7) + random.uniform(0.2, 0.6) * wave)


def _poses(seed: int, take: Take, frames: int) -> tuple[Pose, ...]:
    random = take_generator(seed, "pose", take)
    own = generator(seed, "posture", client=take.actor)
    sizes = {"yaw": 3.5, "pitch": 2.5, "roll": 1.8, "x": 0.04, "y": 0.03}
    tracks = {
        name: own.normal(0.0, 0.5) * size + _sway(random, frames, size)
        for name, size in sizes.items()
    }
    gaze = {name: _sway(random, frames, 0.008) for name in ("gaze_x", "gaze_y")}
    scale = 1.0 + own.normal(0.0, 0.02) + _sway(random, frames, 0.012)
    tracks |= gaze | {"scale": scale}
    return tuple(
        Pose(**{name: float(track[i]) for name, track in tracks.items()}) for i in range(frames)
    )


def _light(seed: int, take: Take) -> Light:
    own, random = generator(seed, "room", client=take.actor), take_generator(seed, "light", take)
    return Light(
        azimuth=own.uniform(-35.0, 35.0) + random.normal(0.0, 10.0),
        elevation=own.uniform(15.0, 42.0) + random.normal(0.0, 6.0),
        lamp=own.uniform(0.48, 0.68) + random.normal(0.0, 0.03),
        room=own.uniform(0.42, 0.58) + random.normal(0.0, 0.03),
        warmth=own.uniform(-1.0, 1.0),
    )
