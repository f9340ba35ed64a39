"""What left this device, in the vault: encrypted entries, each chained to the one before by hash.

How many entries there are and the last one's hash stand in a sealed row of their own, so that
entries cut off at the end are seen, too. Only a whole older copy of the file would pass.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from client.ledger import START, LedgerBroken
from client.vault.database import Database
from client.vault.encoding import decode_json, encode_json
from client.vault.errors import RowDamaged
from client.vault.schema import LEDGER, SEALS

TIP: Final = "ledger"
_UNTIL: Final = "nothing leaves this device until a backup is brought back with mien device restore"


@dataclass(frozen=True)
class Tip:
    """The ledger's length and its last entry's hash."""

    count: int
    last: str


class VaultLedger:
    """Does what `client.ledger.Ledger` does, in a vault."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry; it is on the disk when this returns.

        Raises:
            LedgerBroken: the last entry is damaged, or entries at the end are missing.
            VaultError: the disk is full or the vault in use; then nothing may leave either.
            RuntimeError: called inside a transaction, so that it could still be taken back.
        """
        if self._db.in_transaction:
            raise RuntimeError("a ledger entry must be durable: append it outside transactions")
        with self._db.writing():
            tip = read_tip(self._db)
            if self._newest_hash(tip.count) != tip.last:
                raise _broken(tip.count)
            linked = {**entry, "previous": tip.last}
            last = hash_of(linked)
            number = tip.count + 1
            self._db.insert(
                LEDGER, {"number": number}, {"entry": encode_json({**linked, "hash": last})}
            )
            write_tip(self._db, Tip(number, last))

    def entries(self) -> Iterator[dict[str, Any]]:
        """All entries, first to last, the chain and its length checked first.

        Raises:
            LedgerBroken: names the first entry that does not fit.
        """
        with self._db.reading():
            tip = read_tip(self._db)
            rows = list(self._db.rows(LEDGER, LEDGER.sealed, "ORDER BY number"))
            found = [self._entry(number, *row) for number, row in enumerate(rows, start=1)]
        previous = START
        for number, entry in enumerate(found, start=1):
            if entry.get("previous") != previous:
                raise _broken(number)
            previous = entry["hash"]
        if Tip(len(found), previous) != tip:
            raise _broken(min(len(found), tip.count) + 1)
        return iter(found)

    def _newest_hash(self, count: int) -> str:
        rows = list(self._db.rows(LEDGER, LEDGER.sealed, "ORDER BY number DESC LIMIT 1"))
        if not rows or rows[0][0] != (count,):
            return START if not rows and not count else ""
        return str(self._entry(count, *rows[0])["hash"])

    def _entry(
        self, number: int, place: tuple[Any, ...], sealed: tuple[object, ...]
    ) -> dict[str, Any]:
        try:
            entry = self._db.opened(LEDGER, LEDGER.sealed, place, sealed, _decoded)
        except RowDamaged as error:
            raise _broken(number) from error
        bare = {key: value for key, value in entry.items() if key != "hash"}
        if place != (number,) or entry.get("hash") != hash_of(bare):
            raise _broken(number)
        return entry


def read_tip(database: Database) -> Tip:
    """The ledger's end as it was last written.

    Raises:
        LedgerBroken: it is missing or damaged.
    """
    rows = list(database.rows(SEALS, SEALS.sealed, "WHERE name = ?", (TIP,)))
    try:
        if rows:
            return database.opened(SEALS, SEALS.sealed, *rows[0], _tip)
    except RowDamaged as error:
        raise _no_tip() from error
    raise _no_tip()


def write_tip(database: Database, tip: Tip) -> None:
    """Say where the ledger ends."""
    database.put(SEALS, {"name": TIP}, {"value": encode_json([tip.count, tip.last])})


def hash_of(entry: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of an entry without its own hash."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def _decoded(number: int, content: bytes) -> dict[str, Any]:
    return dict(decode_json(content))


def _tip(name: str, content: bytes) -> Tip:
    count, last = decode_json(content)
    return Tip(int(count), str(last))


def _broken(number: int) -> LedgerBroken:
    return LedgerBroken(
        f"entry {number} of the vault's ledger was changed, moved or removed; {_UNTIL}"
    )


def _no_tip() -> LedgerBroken:
    return LedgerBroken(
        f"the vault's record of where its ledger ends is missing or was changed; {_UNTIL}"
    )
