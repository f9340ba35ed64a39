"""What feature tables of all formats have in common: columns, names, labels, numbers, sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from common.clips import ClipSet
from common.errors import UsageError
from common.expressions import EXPRESSIONS, expression_index
from common.ravdess import ClipName, parse_clip_name
from simulations.data.feature_file import ABOUT_COLUMNS, SPEC_COLUMN
from simulations.data.provenance import check_specs

NOT_FEATURES = ("clip", "user", "expression", "fold", "frame", *ABOUT_COLUMNS)
ANNOTATIONS = frozenset(
    ("emotion", "label", "target", "class", "actor", "subject", "speaker", "gender", "sex")
) | {"modality", "channel", "intensity", "statement", "repetition", "split", "take", "filename"}
"""Columns that say what a clip is: as features they would give the answer away."""
LARGEST_VALUE = 1e30


@dataclass(frozen=True)
class FeatureTable:
    """A table as read.

    Attributes:
        clips: the frames of each clip, or one row where the table has one row per clip; users
            are `actor-NN` for RAVDESS names.
        ravdess: the parsed names, clip by clip, or None if not all are RAVDESS's.
        features: id of what made the features or, where the table does not say, of its columns,
            so that heads of different features are never mixed.
    """

    clips: ClipSet
    ravdess: tuple[ClipName, ...] | None
    features: str


def check_columns(path: Path, names: Sequence[str]) -> None:
    """Refuse a header.

    Raises:
        UsageError: a name is there twice, is missing, or says what a clip is.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(f"{path}: row 1 names column {short(repeated[0])} twice")
    if "clip" not in names:
        raise UsageError(f"{path}: row 1 has no column 'clip'; it names the clip of each row")
    if ("user" in names) != ("expression" in names):
        missing = "expression" if "user" in names else "user"
        raise UsageError(f"{path}: row 1 has no column {missing!r}; give both or neither")
    features = [name for name in names if name not in NOT_FEATURES]
    if not features:
        raise UsageError(f"{path}: row 1 names no feature column beside {', '.join(names)}")
    annotation = next((name for name in features if name.lower() in ANNOTATIONS), None)
    if annotation:
        raise UsageError(
            f"{path}: row 1 has a column {annotation!r}, which says what a clip is and is no "
            "feature; remove it, or name it 'user' or 'expression' if it is one"
        )


def ravdess_name(name: str) -> ClipName:
    """The RAVDESS name that a clip's name is, with or without folder and `.mp4`.

    Raises:
        ValueError: it is none.
    """
    return parse_clip_name(PurePath(name).stem if name.endswith(".mp4") else name)


def user_of(clip: ClipName) -> str:
    """An actor as a user."""
    return f"actor-{clip.actor:02d}"


def all_ravdess(
    path: Path, names: Sequence[str], labels: Sequence[int]
) -> tuple[ClipName, ...] | None:
    """The names' takes, if all are RAVDESS's beside user and expression columns; None if not.

    Raises:
        UsageError: a name contradicts the expression beside it.
    """
    try:
        parsed = tuple(ravdess_name(name) for name in names)
    except ValueError:
        return None
    for name, clip, label in zip(names, parsed, labels, strict=True):
        if clip.label != label:
            raise UsageError(
                f"{path}: clip {name} is {EXPRESSIONS[clip.label]} by its name, but column "
                f"'expression' says {EXPRESSIONS[label]}; mend one"
            )
    return parsed


def label_of(where: str, text: str) -> int:
    """The label of an expression's name or RAVDESS code.

    Raises:
        UsageError: it is none.
    """
    try:
        return expression_index(text.lower())
    except KeyError:
        code = int(text) if text.isdecimal() and len(text) <= 2 else 0
        if 1 <= code <= len(EXPRESSIONS):
            return code - 1
    raise UsageError(
        f"{where}, column 'expression': {short(text)} is none of {', '.join(EXPRESSIONS)} "
        "(or 1 to 8)"
    )


def short(text: str) -> str:
    """A cell as it is quoted in an error: one line, never long."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def check_variety(
    path: Path, users: Sequence[str], labels: Sequence[int], *, named_by: str
) -> None:
    """Refuse a table that nothing can be learnt from; `named_by` is the column that says users.

    Raises:
        UsageError: there are fewer than two users or expressions.
    """
    if not users:
        raise UsageError(f"{path}: has a header but no rows; one row is one clip")
    if len(set(users)) < 2:
        raise UsageError(
            f"{path}: column {named_by!r} names one user only ({short(users[0])}); "
            "a universal head is tested on users it was not trained on, so at least 2 are needed"
        )
    if len(set(labels)) < 2:
        raise UsageError(
            f"{path}: every row has the expression {EXPRESSIONS[labels[0]]!r}; "
            "at least 2 expressions are needed"
        )


def features_id(path: Path, names: Sequence[str], specs: set[str], pooling: str) -> str:
    """What made the features: by the table's own word, else by its columns' names.

    Raises:
        UsageError: the table says that other features are in it than this Mien makes.
    """
    if not specs:
        text = "\n".join(names)
        return f"table/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if "" in specs:
        raise UsageError(f"{path}: column {SPEC_COLUMN!r} is empty in a row; extract again")
    spec = check_specs(str(path), specs)
    return spec if pooling == "none" else f"{spec}/{pooling}"
