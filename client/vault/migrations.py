"""Older formats of the vault, brought up to date step by step in one transaction.

1 -> 2  a clip's label was one number or null, and is now the list of all labels it was given;
        the ledger had no record of where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from client.ledger import START
from client.vault.database import Database
from client.vault.encoding import decode_json, encode_json
from client.vault.errors import RowDamaged, VaultError
from client.vault.ledger import Tip, write_tip
from client.vault.schema import CLIPS, FORMAT, LEDGER

Step = Callable[[Database], None]


def migrate(database: Database, version: int) -> None:
    """Bring a vault of an older format to `FORMAT`: wholly, or not at all.

    Raises:
        VaultError: a row that a step must read is damaged; says what to do.
    """
    if version == FORMAT:
        return
    try:
        with database.writing() as connection:
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found != version:
                return  # another process was faster
            for step in range(version, FORMAT):
                STEPS[step](database)
            connection.execute(f"PRAGMA user_version = {FORMAT}")
    except RowDamaged as damage:
        raise VaultError(
            f"{database.path} has the older format {version} and can't be brought to format "
            f"{FORMAT}, since row {damage.row} of {damage.table} is damaged; get a backup back "
            "with mien device restore"
        ) from damage


def _second(database: Database) -> None:
    for place, sealed in list(database.rows(CLIPS, ("label",))):
        label = database.opened(CLIPS, ("label",), place, sealed, _value)
        history = [] if label is None else [{"label": int(label), "at": ""}]
        database.change(CLIPS, place[0], "label", encode_json(history))
    database.connection.execute(
        "CREATE TABLE seals (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL)"
    )
    count, last = 0, START
    for place, sealed in list(database.rows(LEDGER, LEDGER.sealed, "ORDER BY number")):
        last = str(database.opened(LEDGER, LEDGER.sealed, place, sealed, _entry_hash))
        count += 1
    write_tip(database, Tip(count, last))


STEPS: Final[Mapping[int, Step]] = {1: _second}


def _value(id: str, user: str, content: bytes) -> int | None:
    value = decode_json(content)
    if value is not None and type(value) is not int:
        raise ValueError("no label")
    return value


def _entry_hash(number: int, content: bytes) -> str:
    return str(decode_json(content)["hash"])
