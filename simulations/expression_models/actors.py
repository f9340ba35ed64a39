"""Synthetic actors' faces, drawn straight from the front: a face set that needs no data.

Synthetic: what is trained on it says nothing about people.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.randomness import generator
from simulations.actors.action_units import apex, draw_style
from simulations.actors.face import MINIMUM_SIZE, Light, Pose, render_frame
from simulations.actors.identity import draw_identity
from simulations.expression_models.faces import FaceSet, FaceSplits, Image, ImageArray
from simulations.expression_models.readers.names import expression_name
from simulations.watching import Watcher, unwatched

CLASSES: Final = tuple(expression_name(name) for name in EXPRESSIONS)
MOST_FACES: Final = 20_000
_PARTS: Final = ("train", "validation", "test")
_CLOSE: Final = 1.45
_SHARE: Final = 0.68
"""Of the drawn frame's side that is cut out: brows to chin, as aligned crops show them."""
_MIDDLE: Final = 0.54
"""Of the frame's height where the cut's middle is."""


def actor_faces(
    *, actors: int = 12, takes: int = 6, size: int = 64, seed: int = 0, watch: Watcher = unwatched
) -> FaceSplits:
    """Drawn faces of all eight expressions; the parts share no actor.

    A quarter of the actors is for the test and a quarter for validation, at least one each.

    Args:
        actors: at least 3.
        takes: faces per actor and expression, half of them strong, at least 1.
        size: pixels, at least 16.
        seed: of actors, takes and split.
        watch: told of actors drawn.

    Raises:
        UsageError: an argument is out of range.
    """
    if actors < 3 or takes < 1 or size < 16 or actors * takes * len(CLASSES) > MOST_FACES:
        raise UsageError(
            f"{actors} actors with {takes} takes at {size} pixels: use at least 3, 1 and 16, and "
            f"at most {MOST_FACES} faces in all"
        )
    faces, labels, people = [], [], []
    for actor in range(1, actors + 1):
        for label in range(len(CLASSES)):
            for take in range(takes):
                faces.append(_face(seed, actor, label, take, size))
                labels.append(label)
                people.append(f"actor {actor}")
        watch("draw synthetic faces", actor, actors)
    everything = FaceSet(
        "synthetic actors",
        CLASSES,
        np.array(labels, dtype=np.int64),
        ImageArray(np.stack(faces), "synthetic face"),
        people=tuple(people),
        synthetic=True,
    )
    return _by_actor(everything, actors, seed)


def _face(seed: int, actor: int, label: int, take: int, size: int) -> Image:
    random = generator(seed, "face", round=take, client=actor, user=label)
    style = draw_style(seed, actor)
    added = apex(style, label, 1 + take % 2, random)
    units = np.clip(style.rest + random.uniform(0.75, 1.0) * added, 0.0, 1.0)
    yaw, pitch, x, y = random.normal(0.0, (4.0, 3.0, 0.03, 0.03))
    pose = Pose(yaw=yaw, pitch=pitch, x=x, y=y, scale=_CLOSE + random.normal(0.0, 0.03))
    light = Light(azimuth=random.uniform(-40, 40), elevation=random.uniform(10, 45))
    frame_size = max(round(size / _SHARE), MINIMUM_SIZE)
    return _cut(render_frame(draw_identity(seed, actor), units, pose, light, frame_size), size)


def _cut(frame: Image, size: int) -> Image:
    side = round(_SHARE * len(frame))
    left, top = (len(frame) - side) // 2, round(_MIDDLE * len(frame) - side / 2)
    face = np.ascontiguousarray(frame[top : top + side, left : left + side])
    if side == size:
        return face
    return np.asarray(cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _by_actor(faces: FaceSet, actors: int, seed: int) -> FaceSplits:
    order = generator(seed, "actor split").permutation(actors) + 1
    held = max(1, actors // 4)
    chosen = {
        "test": order[:held],
        "validation": order[held : 2 * held],
        "train": order[2 * held :],
    }
    train, validation, test = (_of(faces, part, chosen[part].tolist()) for part in _PARTS)
    words = f"{held} of {actors} synthetic actors"
    return FaceSplits("synthetic actors", train, validation, test, words)


def _of(faces: FaceSet, part: str, actors: list[int]) -> FaceSet:
    wanted = {f"actor {actor}" for actor in actors}
    people = faces.people or ()
    return faces.part(
        (index for index, person in enumerate(people) if person in wanted),
        f"synthetic actors, {part}",
    )
