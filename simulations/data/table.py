"""Feature tables: CSV with one row per clip, Parquet with one row per clip or per frame."""

from __future__ import annotations

from pathlib import Path

from simulations.data.csv_table import LONGEST_LINE as LONGEST_LINE
from simulations.data.csv_table import read_csv
from simulations.data.feature_file import PARQUET
from simulations.data.table_checks import FeatureTable as FeatureTable

_MAGIC = b"PAR1"


def read_table(path: Path) -> FeatureTable:
    """Read a feature table, Parquet by its name or its first bytes, else CSV.

    The table has a `clip` column and at least one feature column; every other column but `user`,
    `expression`, `fold`, `frame` and those that Mien itself writes is a feature.  Without `user`
    and `expression` columns the clips have RAVDESS names, which say both.

    Raises:
        UsageError: the file can't be read, holds features that this Mien would not make, or names
            the first row and column that is wrong. Rows are never dropped.
    """
    if path.suffix.lower() == PARQUET or _begins_like_parquet(path):
        from simulations.data.parquet_table import read_parquet

        return read_parquet(path)
    return read_csv(path)


def _begins_like_parquet(path: Path) -> bool:
    if not path.is_file():  # what comes through a pipe can be read once only
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False  # whoever reads it says why
