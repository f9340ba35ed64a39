"""Per-clip feature tables (CSV): RAVDESS names, or clip, user and expression columns."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TextIO

from common.clips import ClipSet, make_clip_set
from common.errors import UsageError
from common.expressions import EXPRESSIONS, expression_index
from common.ravdess import ClipName, parse_clip_name

NOT_FEATURES = ("clip", "user", "expression", "fold")
ANNOTATIONS = frozenset(
    ("emotion", "label", "target", "class", "actor", "subject", "speaker", "gender", "sex")
) | {"modality", "channel", "intensity", "statement", "repetition", "split", "take", "filename"}
"""Columns that say what a clip is: as features they would give the answer away."""
LONGEST_LINE = 4_000_000
LARGEST_VALUE = 1e30


@dataclass(frozen=True)
class FeatureTable:
    """A table as read.

    Attributes:
        clips: one frame per clip; users are `actor-NN` for RAVDESS names.
        ravdess: the parsed names, clip by clip, or None if not all are RAVDESS's.
        features: id of the columns, so that heads of different tables are never mixed.
    """

    clips: ClipSet
    ravdess: tuple[ClipName, ...] | None
    features: str


@dataclass(frozen=True)
class _Columns:
    clip: int
    user: int | None
    expression: int | None
    features: tuple[tuple[int, str], ...]


def read_table(path: Path) -> FeatureTable:
    """Read a CSV table of per-clip features.

    The header has a `clip` column and at least one feature column; every other column but `user`,
    `expression` and `fold` is a feature. Without `user` and `expression` columns the clips have
    RAVDESS names, which say both.

    Raises:
        UsageError: the file can't be read, or names the first row and column that is wrong. Rows
            are never dropped.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(path, file)
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror}); give a CSV file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text; give a CSV file") from error


def _read(path: Path, file: TextIO) -> FeatureTable:
    rows = _rows(path, file)
    header = next(rows, None)
    if not header:
        raise UsageError(f"{path}: is empty; the first row must name the columns, one being 'clip'")
    columns = _columns(path, header)
    names: list[str] = []
    users: list[str] = []
    labels: list[int] = []
    values: list[list[float]] = []
    parsed: list[ClipName] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        where = f"{path}: row {number}"
        if len(row) != len(header):
            raise UsageError(f"{where} has {len(row)} cells, the header has {len(header)}")
        name = row[columns.clip].strip()
        if name in seen:
            raise UsageError(f"{where}, column 'clip': {_short(name)} is also in row {seen[name]}")
        seen[name] = number
        user, label = _user_and_label(where, row, columns, parsed)
        names.append(name)
        users.append(user)
        labels.append(label)
        values.append([_number(where, column, row[index]) for index, column in columns.features])
    _check_variety(path, columns, users, labels)
    clips = make_clip_set(names, users, labels, values)
    ravdess = tuple(parsed) or _all_ravdess(path, names, labels)
    return FeatureTable(clips, ravdess, _features_id(columns))


def _all_ravdess(
    path: Path, names: Sequence[str], labels: Sequence[int]
) -> tuple[ClipName, ...] | None:
    """The names' takes, if all are RAVDESS's beside user and expression columns; None if not."""
    try:
        parsed = tuple(_ravdess(name) for name in names)
    except ValueError:
        return None
    for name, clip, label in zip(names, parsed, labels, strict=True):
        if clip.label != label:
            raise UsageError(
                f"{path}: clip {name} is {EXPRESSIONS[clip.label]} by its name, but column "
                f"'expression' says {EXPRESSIONS[label]}; mend one"
            )
    return parsed


def _ravdess(name: str) -> ClipName:
    return parse_clip_name(PurePath(name).stem if name.endswith(".mp4") else name)


def _rows(path: Path, file: TextIO) -> Iterator[list[str]]:
    number = 1
    try:
        for row in csv.reader(_bounded_lines(path, file), strict=True):
            yield row
            number += 1
    except csv.Error as error:
        raise UsageError(f"{path}: row {number} is not CSV ({error}); check its quotes") from error


def _bounded_lines(path: Path, file: TextIO) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise UsageError(
                f"{path}: row {number} is longer than {LONGEST_LINE} characters; "
                "one row is one clip, so this is no feature table"
            )
        if "\0" in line:
            raise UsageError(f"{path}: row {number} holds a zero byte; give a CSV file")
        yield line


def _columns(path: Path, header: Sequence[str]) -> _Columns:
    names = [name.strip() for name in header]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(f"{path}: row 1 names column {_short(repeated[0])} twice")
    if "clip" not in names:
        raise UsageError(f"{path}: row 1 has no column 'clip'; it names the clip of each row")
    if ("user" in names) != ("expression" in names):
        missing = "expression" if "user" in names else "user"
        raise UsageError(f"{path}: row 1 has no column {missing!r}; give both or neither")
    features = tuple((i, name) for i, name in enumerate(names) if name not in NOT_FEATURES)
    if not features:
        raise UsageError(f"{path}: row 1 names no feature column beside {', '.join(names)}")
    annotation = next((name for _, name in features if name.lower() in ANNOTATIONS), None)
    if annotation:
        raise UsageError(
            f"{path}: row 1 has a column {annotation!r}, which says what a clip is and is no "
            "feature; remove it, or name it 'user' or 'expression' if it is one"
        )
    place = {name: index for index, name in enumerate(names)}
    return _Columns(place["clip"], place.get("user"), place.get("expression"), features)


def _user_and_label(
    where: str, row: Sequence[str], columns: _Columns, parsed: list[ClipName]
) -> tuple[str, int]:
    name = row[columns.clip].strip()
    if columns.user is not None and columns.expression is not None:
        user = row[columns.user].strip()
        if not user or not name:
            empty = "user" if not user else "clip"
            raise UsageError(f"{where}, column {empty!r}: is empty; name one")
        return user, _label(where, row[columns.expression].strip())
    try:
        clip = _ravdess(name)
    except ValueError as error:
        raise UsageError(f"{where}, column 'clip': {error}") from error
    parsed.append(clip)
    return f"actor-{clip.actor:02d}", clip.label


def _label(where: str, text: str) -> int:
    try:
        return expression_index(text.lower())
    except KeyError:
        code = int(text) if text.isdecimal() and len(text) <= 2 else 0
        if 1 <= code <= len(EXPRESSIONS):
            return code - 1
    raise UsageError(
        f"{where}, column 'expression': {_short(text)} is none of {', '.join(EXPRESSIONS)} "
        "(or 1 to 8)"
    )


def _number(where: str, column: str, text: str) -> float:
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > LARGEST_VALUE:
        raise UsageError(f"{where}, column {_short(column)}: {_short(text)} is not a finite number")
    return value


def _short(text: str) -> str:
    """A cell as it is quoted in an error: one line, never long."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _check_variety(
    path: Path, columns: _Columns, users: Sequence[str], labels: Sequence[int]
) -> None:
    if not users:
        raise UsageError(f"{path}: has a header but no rows; one row is one clip")
    if len(set(users)) < 2:
        column = "clip" if columns.user is None else "user"
        raise UsageError(
            f"{path}: column {column!r} names one user only ({_short(users[0])}); "
            "a universal head is tested on users it was not trained on, so at least 2 are needed"
        )
    if len(set(labels)) < 2:
        raise UsageError(
            f"{path}: every row has the expression {EXPRESSIONS[labels[0]]!r}; "
            "at least 2 expressions are needed"
        )


def _features_id(columns: _Columns) -> str:
    names = "\n".join(name for _, name in columns.features)
    return f"table/{hashlib.sha256(names.encode()).hexdigest()[:16]}"
