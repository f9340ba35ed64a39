"""Labelled pairs of faces and avatars: which are drawn, and the folder that holds them.

A folder has `pairs.csv`, one pair a line (`face,avatar,face_expression,avatar_expression,mismatch,
person`, the first two being paths of PNG files below the folder), and `pairs.json`, which says
where the pairs come from and what `pairs.csv` must be, so that one cut short is noticed. Made-up
people are called synthetic there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import cv2
import numpy as np

from common.errors import UsageError, WorkError
from common.expressions import EXPRESSIONS
from common.files import write_atomically
from common.randomness import generator
from simulations.avatars.difficulty import FROZEN, Difficulty
from simulations.avatars.pictures import ACTORS, AVATAR, FACE, Picture, Shot, shots, take
from simulations.watching import Watcher, unwatched

FORMAT: Final = "mien-avatar-pairs/1"
TABLE: Final = "pairs.csv"
ABOUT: Final = "pairs.json"
COLUMNS: Final = (
    "face",
    "avatar",
    "face_expression",
    "avatar_expression",
    "mismatch",
    "person",
)
MOST_PAIRS: Final = 1_000_000
_READABLE: Final = 0o644


@dataclass(frozen=True)
class LabelledPair:
    """One pair: files below the folder, what each shows, and whose they are.

    Raises:
        UsageError: an expression that is none, or a path that leaves the folder.
    """

    face: str
    avatar: str
    face_expression: str
    avatar_expression: str
    person: str

    def __post_init__(self) -> None:
        for name in (self.face_expression, self.avatar_expression):
            if name not in EXPRESSIONS:
                raise UsageError(
                    f"expression {name!r} is unknown: use one of {', '.join(EXPRESSIONS)}"
                )
        for path in (self.face, self.avatar):
            parts = PurePosixPath(path)
            if not path or parts.is_absolute() or ".." in parts.parts or "\\" in path:
                raise UsageError(f"{path!r} is no path below the folder of the pairs")

    @property
    def mismatch(self) -> bool:
        """Whether the two show different expressions."""
        return self.face_expression != self.avatar_expression


@dataclass(frozen=True)
class PairFolder:
    """What a folder holds.

    Attributes:
        folder: where the files are.
        pairs: in the order of the table.
        synthetic: whether the people were drawn.
        about: whatever else its maker told.
    """

    folder: Path
    pairs: tuple[LabelledPair, ...]
    synthetic: bool
    about: Mapping[str, Any]


def plan_pairs(seed: int, actor: int, name: str, per_expression: int) -> list[tuple[Shot, Shot]]:
    """A set of one actor's pairs, as many faces of each expression, every picture in one pair only.

    Half of the avatars are wrong, each by an expression drawn at random from the seven others.
    """
    faces = shots(seed, actor, FACE, name, per_expression)
    random = generator(seed, f"pairs {name}", client=actor)
    wrong = set(random.permutation(len(faces))[: len(faces) // 2].tolist())
    planned = []
    for place, face in enumerate(faces):
        other = (face.label + int(random.integers(1, len(EXPRESSIONS)))) % len(EXPRESSIONS)
        label = other if place in wrong else face.label
        planned.append((face, Shot(seed, actor, AVATAR, label, name, place)))
    return planned


def draw_pairs(
    folder: Path,
    *,
    seed: int,
    actors: int = ACTORS,
    per_expression: int = 4,
    size: int = 160,
    difficulty: Difficulty = FROZEN,
    watch: Watcher = unwatched,
) -> PairFolder:
    """Draw synthetic actors' pairs into a folder; equal arguments give equal files.

    Args:
        folder: made if it is missing; must hold no other pairs.
        seed: of the world.
        actors: 1 to 24.
        per_expression: faces of each expression and actor, at least 1.
        size: of the pictures, pixels.
        difficulty: how hard.
        watch: told the pairs that are done.

    Raises:
        UsageError: an argument is out of range, or the folder can't be written.
    """
    if not 1 <= actors <= ACTORS or per_expression < 1:
        raise UsageError(
            f"{actors} actors with {per_expression} faces per expression were asked for: use 1 to "
            f"{ACTORS} actors and at least 1 face"
        )
    planned = [
        pair for a in range(1, actors + 1) for pair in plan_pairs(seed, a, "pairs", per_expression)
    ]
    made = []
    for done, (face, avatar) in enumerate(planned):
        person = f"actor-{face.actor:02d}"
        names = [f"{person}/{done:05d}-{shot.domain}.png" for shot in (face, avatar)]
        for path, shot in zip(names, (face, avatar), strict=True):
            write_png(folder / path, take(shot, difficulty, size=size))
        shown = EXPRESSIONS[face.label], EXPRESSIONS[avatar.label]
        made.append(LabelledPair(names[0], names[1], *shown, person))
        watch("pairs drawn", done + 1, len(planned))
    about = {"seed": seed, "actors": actors, "size": size, "difficulty": difficulty.digest}
    return write_pairs(folder, made, synthetic=True, about=about)


def write_png(path: Path, picture: Picture) -> None:
    """Write an RGB picture.

    Raises:
        UsageError: it can't be written there.
    """
    content = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, mode=_READABLE)
    except OSError as error:
        raise UsageError(f"{path}: can't be written there ({error.strerror})") from error


def write_pairs(
    folder: Path,
    pairs: Sequence[LabelledPair],
    *,
    synthetic: bool,
    about: Mapping[str, Any] | None = None,
) -> PairFolder:
    """Write the table of pairs whose files lie in `folder`, and what is told about them.

    Raises:
        UsageError: no pair, a file that is missing, or the folder can't be written.
    """
    if not pairs:
        raise UsageError(f"{folder}: no pairs to write; give at least one")
    _check_files(folder, pairs, UsageError)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for pair in pairs:
        shown = pair.face_expression, pair.avatar_expression
        table.writerow([pair.face, pair.avatar, *shown, int(pair.mismatch), pair.person])
    content = text.getvalue().encode()
    told: dict[str, Any] = {
        "format": FORMAT,
        "synthetic": synthetic,
        "pairs": len(pairs),
        "mismatches": sum(pair.mismatch for pair in pairs),
        "sha256": hashlib.sha256(content).hexdigest(),
        "about": dict(about or {}),
    }
    try:
        write_atomically(folder / TABLE, content, mode=_READABLE)
        described = (json.dumps(told, indent=1, sort_keys=True) + "\n").encode()
        write_atomically(folder / ABOUT, described, mode=_READABLE)
    except OSError as error:
        raise UsageError(f"{folder}: can't be written to ({error.strerror})") from error
    return PairFolder(folder, tuple(pairs), synthetic, told["about"])


def read_pairs(folder: Path) -> PairFolder:
    """Read and check a folder of pairs; the pictures themselves are not opened.

    Raises:
        WorkError: a file is missing or damaged, or says what can't be.
    """
    try:
        told = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        content = (folder / TABLE).read_bytes()
    except (OSError, ValueError) as error:
        raise WorkError(f"{folder}: holds no readable pairs ({error}); make them again") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise WorkError(f"{folder / ABOUT}: is not of format {FORMAT}; make the pairs again")
    if told.get("sha256") != hashlib.sha256(content).hexdigest():
        raise WorkError(
            f"{folder / TABLE}: is not the table that {ABOUT} tells of (cut short or changed); "
            "make the pairs again"
        )
    pairs = _parsed(folder / TABLE, content)
    _check_files(folder, pairs, WorkError)
    about = told.get("about")
    return PairFolder(
        folder, tuple(pairs), bool(told.get("synthetic")), about if isinstance(about, dict) else {}
    )


def _parsed(path: Path, content: bytes) -> list[LabelledPair]:
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise WorkError(f"{path}: is no readable table ({error}); make the pairs again") from error
    if len(rows) < 2 or tuple(rows[0]) != COLUMNS or len(rows) - 1 > MOST_PAIRS:
        raise WorkError(
            f"{path}: expected the columns {', '.join(COLUMNS)} and 1 to {MOST_PAIRS} pairs"
        )
    return [_pair(path, line, row) for line, row in enumerate(rows[1:], start=2)]


def _pair(path: Path, line: int, row: Sequence[str]) -> LabelledPair:
    if len(row) != len(COLUMNS):
        raise WorkError(f"{path}, line {line}: has {len(row)} cells, expected {len(COLUMNS)}")
    face, avatar, face_shows, avatar_shows, mismatch, person = row
    try:
        pair = LabelledPair(face, avatar, face_shows, avatar_shows, person)
    except UsageError as error:
        raise WorkError(f"{path}, line {line}: {error}") from error
    if mismatch != str(int(pair.mismatch)):
        raise WorkError(
            f"{path}, line {line}: mismatch is {mismatch!r}, but the face is {face_shows} and the "
            f"avatar {avatar_shows}; correct one of them"
        )
    return pair


def _check_files(
    folder: Path, pairs: Sequence[LabelledPair], error: type[UsageError] | type[WorkError]
) -> None:
    for pair in pairs:
        for path in (pair.face, pair.avatar):
            if not (folder / path).is_file():
                raise error(f"{folder / path}: a pair names this picture and it is not there")
