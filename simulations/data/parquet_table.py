"""Feature tables in Parquet: one row per frame or per clip.

Features are one column of lists of one length, `features`, or number columns as in CSV.  The rows
of a clip stand together; its frames are used in the order of the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from common.clips import ClipSet
from common.errors import UsageError
from simulations.data.feature_file import METADATA_KEY
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

MOST_VALUES: Final = 2**31
"""Features in a table: 8 GiB as they are held.  A few bytes can promise any number of rows."""
_LISTS: Final = "features"
_BATCH: Final = 2048

Floats = npt.NDArray[np.float32]


def read_parquet(path: Path) -> FeatureTable:
    """Read a Parquet table of features.

    Raises:
        UsageError: the file can't be read, holds features that this Mien would not make, or names
            the first row and column that is wrong.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return _read(path, file)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: can't be read ({reason}); give a Parquet file") from error


def _read(path: Path, file: Any) -> FeatureTable:
    schema = file.schema_arrow
    check_columns(path, schema.names)
    columns = tuple(name for name in schema.names if name not in NOT_FEATURES)
    dimension = _dimension(path, schema, columns)
    rows = file.metadata.num_rows
    if rows * dimension > MOST_VALUES:
        raise UsageError(
            f"{path}: holds {rows} rows of {dimension} features, more than {MOST_VALUES} numbers; "
            "make a smaller table, such as one with --pooling max"
        )
    reader = _Reader(path, "user" in schema.names, np.empty((rows, dimension), np.float32))
    for group in range(file.num_row_groups):  # several at once would be held in memory together
        for batch in file.iter_batches(batch_size=_BATCH, row_groups=[group]):
            reader.take(batch, columns)
    specs, pooling = _made_by(path, file.metadata.metadata or {})
    made = features_id(path, columns, specs, pooling)
    return reader.table(made)


def _made_by(path: Path, metadata: dict[bytes, bytes]) -> tuple[set[str], str]:
    text = metadata.get(METADATA_KEY.encode())
    if text is None:
        return set(), "none"
    try:
        about = json.loads(text)
        return {str(about["spec"])}, str(about["pooling"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: what it says of its own making can't be read; extract the features again"
        ) from error


def _dimension(path: Path, schema: Any, columns: Sequence[str]) -> int:
    if columns == (_LISTS,):
        kind = schema.field(_LISTS).type
        if not pa.types.is_fixed_size_list(kind) or not _is_number(kind.value_type):
            raise UsageError(
                f"{path}: column 'features' is of type {kind}; lists of one length are needed"
            )
        return int(kind.list_size)
    for name in columns:
        if not _is_number(schema.field(name).type):
            kind = short(str(schema.field(name).type))
            raise UsageError(f"{path}: column {short(name)} is of type {kind}, not of numbers")
    return len(columns)


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


@dataclass
class _Reader:
    """Clips as they come, batch by batch."""

    path: Path
    has_user: bool
    frames: Floats
    names: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    row: int = 0

    def take(self, batch: Any, columns: Sequence[str]) -> None:
        values = _values(batch, columns)
        self._check_numbers(values, columns)
        self.frames[self.row : self.row + len(batch)] = values
        texts = ("clip", "user", "expression") if self.has_user else ("clip",)
        for offset, said in _changes([self._texts(batch, name) for name in texts]):
            self._start(self.row + offset, said)
        self.row += len(batch)

    def table(self, features: str) -> FeatureTable:
        column = "user" if self.has_user else "clip"
        check_variety(self.path, self.users, self.labels, named_by=column)
        lengths = np.diff([*self.starts, self.row])
        clips = ClipSet(
            tuple(self.names),
            tuple(self.users),
            np.asarray(self.labels, np.int64),
            self.frames,
            lengths.astype(np.int64),
        )
        return FeatureTable(clips, all_ravdess(self.path, self.names, self.labels), features)

    def _texts(self, batch: Any, name: str) -> list[str]:
        column = batch.column(name)
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
            raise UsageError(f"{self.path}: column {name!r} is of type {kind}, expected texts")
        texts: list[str | None] = column.to_pylist()
        for offset, text in enumerate(texts):
            if not text or not text.strip():
                where = f"{self.path}: row {self.row + offset + 1}"
                raise UsageError(f"{where}, column {name!r}: is empty; name one")
        return [str(text).strip() for text in texts]

    def _start(self, row: int, said: tuple[str, ...]) -> None:
        """A clip begins, or goes on behind a batch's end."""
        if said == self.said:
            return
        where = f"{self.path}: row {row + 1}"
        name = said[0]
        if name in self.seen:
            raise UsageError(
                f"{where}, column 'clip': {short(name)} is also in row {self.seen[name]}, apart "
                "from here or with another user or expression; put the rows of a clip together"
            )
        user, label = self._user_and_label(where, said)
        self.said, self.seen[name] = said, row + 1
        self.names.append(name)
        self.users.append(user)
        self.labels.append(label)
        self.starts.append(row)

    def _user_and_label(self, where: str, said: tuple[str, ...]) -> tuple[str, int]:
        if self.has_user:
            return said[1], label_of(where, said[2])
        try:
            clip = ravdess_name(said[0])
        except ValueError as error:
            raise UsageError(f"{where}, column 'clip': {error}") from error
        return user_of(clip), clip.label

    def _check_numbers(self, values: Floats, columns: Sequence[str]) -> None:
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(values) <= LARGEST_VALUE)
        if wrong.any():
            offset, index = np.argwhere(wrong)[0]
            name = columns[0] if columns == (_LISTS,) else columns[index]
            raise UsageError(
                f"{self.path}: row {self.row + offset + 1}, column {short(name)}: "
                f"{values[offset, index]!s} is not a finite number"
            )


def _values(batch: Any, columns: Sequence[str]) -> Floats:
    """Features of a batch's rows; what is missing is NaN."""
    if tuple(columns) == (_LISTS,):
        lists = batch.column(_LISTS)
        dimension = lists.type.list_size
        flat = np.full(len(batch) * dimension, np.nan, np.float32)
        present = np.repeat(lists.is_valid().to_numpy(zero_copy_only=False), dimension)
        flat[present] = _floats(lists.flatten())
        return flat.reshape(len(batch), dimension)
    return np.column_stack([_floats(batch.column(name)) for name in columns])


def _floats(column: Any) -> Floats:
    return np.asarray(column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False))


def _changes(columns: Sequence[Sequence[str]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Where the texts differ from those of the row before, and the first row."""
    before: tuple[str, ...] | None = None
    for offset, said in enumerate(zip(*columns, strict=True)):
        if said != before:
            yield offset, said
            before = said
