"""What the parts of a vault share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from client.vault.database import Database
from client.vault.errors import RowDamaged
from client.vault.schema import Table
from common.errors import UsageError

Record = TypeVar("Record")


class VaultPart:
    """Base of the classes that `Vault` is made of."""

    _db: Database
    _noticed: dict[tuple[str, str], RowDamaged]

    @property
    def noticed(self) -> tuple[RowDamaged, ...]:
        """Damaged rows that listings have left out so far."""
        return tuple(self._noticed.values())

    def _listed(
        self,
        table: Table,
        columns: tuple[str, ...],
        decode: Callable[..., Record],
        where: str,
        *given: object,
    ) -> list[Record]:
        """The records of all rows but the damaged ones, which are noticed."""
        found = []
        with self._db.reading():
            for place, sealed in self._db.rows(table, columns, where, given):
                try:
                    found.append(self._db.opened(table, columns, place, sealed, decode))
                except RowDamaged as damage:
                    self._noticed[damage.table, damage.row] = damage
        return found

    def _one_hashed(
        self,
        table: Table,
        columns: tuple[str, ...],
        decode: Callable[..., Record],
        column: str,
        text: str,
    ) -> Record | None:
        """The record of the row with this text's hash in a column; raises as `_one`."""
        with self._db.reading():  # or a new key could come between hash and row
            return self._one(table, columns, decode, column, self._db.cipher.hashed(column, text))

    def _one(
        self,
        table: Table,
        columns: tuple[str, ...],
        decode: Callable[..., Record],
        column: str,
        value: object,
    ) -> Record | None:
        """The record of the row with this value in a unique column.

        Raises:
            RowDamaged: it is there but damaged.
        """
        with self._db.reading():
            rows: list[tuple[Any, Any]] = list(
                self._db.rows(table, columns, f"WHERE {column} = ?", (value,))
            )
            return self._db.opened(table, columns, *rows[0], decode) if rows else None

    def _check_user(self, id: str) -> None:
        found = self._db.connection.execute("SELECT 1 FROM users WHERE id = ?", (id,)).fetchone()
        if not found:
            raise UsageError("the vault knows no such user; enrol the user first (mien enrol)")


def check_id(id: str) -> str:
    """The id, if it is one that tells nothing: names must not stand in plain columns.

    Raises:
        ValueError: it is not 32 hexadecimal digits.
    """
    if len(id) != 32 or set(id) - set("0123456789abcdef"):
        raise ValueError(f"{id!r} is no id: expected 32 hexadecimal digits, as new_id() makes them")
    return id
