"""Feature tables in CSV, one row per clip: RAVDESS names, or clip, user and expression columns."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from common.clips import make_clip_set
from common.errors import UsageError
from common.ravdess import ClipName
from simulations.data.feature_file import POOLING_COLUMN, SPEC_COLUMN
from simulations.data.table_checks import (
    LARGEST_VALUE,
    NOT_FEATURES,
    FeatureTable,
    all_ravdess,
    check_columns,
    check_variety,
    features_id,
    label_of,
    ravdess_name,
    short,
    user_of,
)

LONGEST_LINE = 4_000_000


@dataclass(frozen=True)
class _Columns:
    clip: int
    user: int | None
    expression: int | None
    features: tuple[tuple[int, str], ...]
    spec: int | None
    pooling: int | None


def read_csv(path: Path) -> FeatureTable:
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
    values: list[npt.NDArray[np.float32]] = []
    parsed: list[ClipName] = []
    seen: dict[str, int] = {}
    made_by: set[tuple[str, str]] = set()
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        where = f"{path}: row {number}"
        if len(row) != len(header):
            raise UsageError(f"{where} has {len(row)} cells, the header has {len(header)}")
        name = row[columns.clip].strip()
        if name in seen:
            raise UsageError(f"{where}, column 'clip': {short(name)} is also in row {seen[name]}")
        seen[name] = number
        user, label = _user_and_label(where, row, columns, parsed)
        names.append(name)
        users.append(user)
        labels.append(label)
        made_by |= _made_by(row, columns)
        numbers = [_number(where, column, row[index]) for index, column in columns.features]
        values.append(np.array(numbers, dtype=np.float32))
    check_variety(path, users, labels, named_by="clip" if columns.user is None else "user")
    clips = make_clip_set(names, users, labels, values)
    ravdess = tuple(parsed) or all_ravdess(path, names, labels)
    return FeatureTable(clips, ravdess, _id(path, columns, made_by))


def _rows(path: Path, file: TextIO) -> Iterator[list[str]]:
    number = 1
    try:
        for row in csv.reader(bounded_lines(path, file), strict=True):
            yield row
            number += 1
    except csv.Error as error:
        raise UsageError(f"{path}: row {number} is not CSV ({error}); check its quotes") from error


def bounded_lines(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of a table, none longer than `LONGEST_LINE`.

    Raises:
        UsageError: one is, or holds a zero byte.
    """
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
    check_columns(path, names)
    features = tuple((i, name) for i, name in enumerate(names) if name not in NOT_FEATURES)
    place = {name: index for index, name in enumerate(names)}
    spec, pooling = place.get(SPEC_COLUMN), place.get(POOLING_COLUMN)
    return _Columns(
        place["clip"], place.get("user"), place.get("expression"), features, spec, pooling
    )


def _user_and_label(
    where: str, row: Sequence[str], columns: _Columns, parsed: list[ClipName]
) -> tuple[str, int]:
    name = row[columns.clip].strip()
    if columns.user is not None and columns.expression is not None:
        user = row[columns.user].strip()
        if not user or not name:
            empty = "user" if not user else "clip"
            raise UsageError(f"{where}, column {empty!r}: is empty; name one")
        return user, label_of(where, row[columns.expression].strip())
    try:
        clip = ravdess_name(name)
    except ValueError as error:
        raise UsageError(f"{where}, column 'clip': {error}") from error
    parsed.append(clip)
    return user_of(clip), clip.label


def _number(where: str, column: str, text: str) -> float:
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > LARGEST_VALUE:
        raise UsageError(f"{where}, column {short(column)}: {short(text)} is not a finite number")
    return value


def _made_by(row: Sequence[str], columns: _Columns) -> set[tuple[str, str]]:
    """Specification and pooling of a row, where the table says them."""
    if columns.spec is None:
        return set()
    pooling = "none" if columns.pooling is None else row[columns.pooling].strip()
    return {(row[columns.spec].strip(), pooling)}


def _id(path: Path, columns: _Columns, made_by: set[tuple[str, str]]) -> str:
    poolings = {pooling for _, pooling in made_by}
    if len(poolings) > 1:
        raise UsageError(f"{path}: its clips are pooled in several ways; make one table of each")
    pooling = poolings.pop() if poolings else "none"
    names = [name for _, name in columns.features]
    return features_id(path, names, {spec for spec, _ in made_by}, pooling)
