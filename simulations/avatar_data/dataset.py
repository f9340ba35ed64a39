"""Pairs of a face and an avatar, some of them wrong on purpose (`simulations.avatars.pairs`).

A right avatar is made of the face beside it, or drawn to show the same.  A wrong one is made of
another face of the same person with another expression, or drawn to show another.  An avatar's
label is the expression that it was made to show; whether it does is what `quality` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.randomness import generator
from simulations.avatar_data.faces import LabelledFace
from simulations.avatar_data.makers import Maker
from simulations.avatars.pairs import (
    TABLE,
    LabelledPair,
    PairFolder,
    draw_pairs,
    write_pairs,
    write_png,
)
from simulations.avatars.pictures import AVATAR, FACE, Shot, shots, take
from simulations.watching import Watcher

HALF: Final = 0.5
SIDE: Final = 160


def drawn_dataset(
    folder: Path,
    *,
    actors: int,
    per_expression: int,
    wrong: float,
    seed: int,
    watch: Watcher,
) -> PairFolder:
    """Synthetic actors' faces with drawn avatars, at the difficulty that was frozen.

    Args:
        folder: made if it is missing; must hold no pairs.
        actors: 1 to 24.
        per_expression: faces of each expression and actor.
        wrong: share of wrong avatars, 0 to 1; with one half these are the experiment's pairs.
        seed: of the world.
        watch: told of progress.

    Raises:
        UsageError: an argument is out of range, or the folder won't do.
    """
    check_target(folder, wrong)
    if wrong == HALF:
        return draw_pairs(
            folder,
            seed=seed,
            actors=actors,
            per_expression=per_expression,
            size=SIDE,
            watch=watch,
        )
    planned = [
        pair
        for actor in range(1, actors + 1)
        for pair in _planned(seed, actor, per_expression, wrong)
    ]
    pairs = []
    for number, (face, avatar) in enumerate(planned):
        person = f"actor-{face.actor:02d}"
        paths = _paths(person, number)
        for path, shot in zip(paths, (face, avatar), strict=True):
            write_png(folder / path, take(shot, size=SIDE))
        pairs.append(_pair(paths, face.label, avatar.label, person))
        watch("pairs", number + 1, len(planned))
    about = {"seed": seed, "actors": actors, "size": SIDE, "wrong": wrong}
    return write_pairs(folder, pairs, synthetic=True, about=about)


def made_dataset(
    folder: Path,
    maker: Maker,
    faces: Sequence[LabelledFace],
    *,
    wrong: float,
    synthetic: bool,
    seed: int,
    watch: Watcher,
) -> PairFolder:
    """Faces with avatars that a generator makes of them.

    Args:
        folder: made if it is missing; must hold no pairs.
        maker: makes avatars.
        faces: with labels; a person with one expression only gets right avatars only.
        wrong: share of faces that get a wrong avatar, 0 to 1.
        synthetic: whether the faces are drawn.
        seed: of which are wrong, and how.
        watch: told of progress.

    Raises:
        UsageError: an argument is out of range, or the folder won't do.
        WorkError: the generator fails.
    """
    check_target(folder, wrong)
    pairs = []
    for number, (face, other) in enumerate(_chosen(faces, wrong, seed)):
        person = _plain(face.person)
        paths = _paths(person, number)
        write_png(folder / paths[0], face.picture)
        write_png(folder / paths[1], maker.avatar(other))
        pairs.append(_pair(paths, face.label, other.label, person))
        watch("pairs", number + 1, len(faces))
    structure, colour = maker.weights
    about = {
        "seed": seed,
        "wrong": wrong,
        "generator": maker.name,
        "structure": structure,
        "colour": colour,
        "avatar_expression": "what the face shows that the avatar was made of",
    }
    return write_pairs(folder, pairs, synthetic=synthetic, about=about)


def check_target(folder: Path, wrong: float) -> None:
    """Refuse what would fail, before anything is drawn.

    Raises:
        UsageError: the share is out of range, or the folder holds pairs already.
    """
    if not 0 <= wrong <= 1:
        raise UsageError(f"wrong is {wrong:g}, expected a share from 0 to 1")
    if (folder / TABLE).exists():
        raise UsageError(f"{folder}: holds pairs already; give another folder")


def _planned(
    seed: int, actor: int, per_expression: int, wrong: float
) -> Iterator[tuple[Shot, Shot]]:
    name = f"pairs, {wrong:g} wrong"
    faces = shots(seed, actor, FACE, name, per_expression)
    random = generator(seed, name, client=actor)
    astray = set(random.permutation(len(faces))[: round(wrong * len(faces))].tolist())
    for place, face in enumerate(faces):
        step = int(random.integers(1, len(EXPRESSIONS)))
        label = (face.label + step) % len(EXPRESSIONS) if place in astray else face.label
        yield face, Shot(seed, actor, AVATAR, label, name, place)


def _chosen(
    faces: Sequence[LabelledFace], wrong: float, seed: int
) -> Iterator[tuple[LabelledFace, LabelledFace]]:
    """Each face, and the face that its avatar is made of."""
    random = generator(seed, "wrong avatars")
    astray = set(random.permutation(len(faces))[: round(wrong * len(faces))].tolist())
    own: dict[str, list[LabelledFace]] = {}
    for face in faces:
        own.setdefault(face.person, []).append(face)
    for place, face in enumerate(faces):
        others = [each for each in own[face.person] if each.label != face.label]
        if place not in astray or not others:
            yield face, face
            continue
        labels = sorted({each.label for each in others})
        label = labels[int(random.integers(len(labels)))]
        alike = [each for each in others if each.label == label]
        yield face, alike[int(random.integers(len(alike)))]


def _paths(person: str, number: int) -> tuple[str, str]:
    return f"{person}/{number:05d}-{FACE}.png", f"{person}/{number:05d}-{AVATAR}.png"


def _pair(paths: tuple[str, str], face: int, avatar: int, person: str) -> LabelledPair:
    return LabelledPair(*paths, EXPRESSIONS[face], EXPRESSIONS[avatar], person)


def _plain(person: str) -> str:
    """A person's name as that of a folder."""
    kept = "".join(each if each.isalnum() or each in "-_" else "_" for each in person)
    return kept[:80] or "somebody"


def counted(pairs: PairFolder) -> dict[str, Any]:
    """What was made, for JSON."""
    return {
        "folder": str(pairs.folder),
        "pairs": len(pairs.pairs),
        "mismatches": sum(pair.mismatch for pair in pairs.pairs),
        "people": len({pair.person for pair in pairs.pairs}),
        "synthetic": pairs.synthetic,
        "about": dict(pairs.about),
    }
