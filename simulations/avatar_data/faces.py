"""Faces with known expressions that avatars are made from: drawn ones, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from client.avatar.pictures import picture_in
from client.recognition.known_faces import PICTURES
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.video import Image
from simulations.avatars.pictures import ACTORS, FACE, shots, take

MOST_FACES: Final = 100_000
SET: Final = "avatar data"
SIDE: Final = 128
"""Of drawn faces; finders want more than the 64 pixels that detectors are trained on."""
_NAMES: Final = {
    **{name: label for label, name in enumerate(EXPRESSIONS)},
    **{"anger": 4, "fear": 5, "happiness": 2, "sadness": 3, "surprise": 7},
}


@dataclass(frozen=True, eq=False)
class LabelledFace:
    """One face, read or drawn when it is looked at.

    Attributes:
        label: index into `EXPRESSIONS`.
        person: whose it is; the file's own name where a folder does not say.
        name: of it, for sentences.
        load: gives the picture, the same one each time.
    """

    label: int
    person: str
    name: str
    load: Callable[[], Image]

    @property
    def picture(self) -> Image:
        """RGB, (height, width, 3) uint8.

        Raises:
            UsageError: its file is no picture that can be read.
        """
        return self.load()


def drawn_faces(actors: range, *, seed: int, per_expression: int = 1) -> list[LabelledFace]:
    """Synthetic actors' faces, as many of each expression.

    Raises:
        UsageError: there are no such actors.
    """
    if not len(actors) or actors.start < 1 or actors.stop > ACTORS + 1:
        raise UsageError(f"actors {list(actors)[:3]} are asked for; there are 1 to {ACTORS}")
    return [
        LabelledFace(
            shot.label,
            f"actor-{actor:02d}",
            f"actor {actor}, {EXPRESSIONS[shot.label]} {shot.index}",
            partial(take, shot, size=SIDE),
        )
        for actor in actors
        for shot in shots(seed, actor, FACE, SET, per_expression)
    ]


def folder_faces(folder: Path) -> list[LabelledFace]:
    """Pictures in `EXPRESSION/` or `PERSON/EXPRESSION/` folders, sorted; others are passed over.

    Raises:
        UsageError: there is none, or there are too many.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder; give one with folders named by expressions")
    paths = [
        path
        for path in sorted([*folder.glob("*/*"), *folder.glob("*/*/*")])
        if path.suffix.lower() in PICTURES and path.parent.name.lower() in _NAMES and path.is_file()
    ]
    if not 0 < len(paths) <= MOST_FACES:
        raise UsageError(
            f"{folder}: holds {len(paths)} pictures in folders named by expressions "
            f"({', '.join(EXPRESSIONS)}), expected 1 to {MOST_FACES}"
        )
    return [_face(folder, path) for path in paths]


def _face(folder: Path, path: Path) -> LabelledFace:
    above = path.parent.parent
    name = path.relative_to(folder).as_posix()
    person = path.stem if above == folder else above.name
    return LabelledFace(_NAMES[path.parent.name.lower()], person, name, partial(_read, path, name))


def _read(path: Path, name: str) -> Image:
    return picture_in(path, name)
