"""Which devices belong to the fleet, on disk (SQLite): survives a kill at any moment.

A name belongs to one active device at a time and may be given again after it was revoked; a key
never may. Times are UTC.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from common.errors import UsageError, WorkError
from common.files import PRIVATE_FILE

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS device (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, public_key TEXT NOT NULL UNIQUE,
        added TEXT NOT NULL, revoked TEXT, reason TEXT, node INTEGER, removed TEXT)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_active ON device (name) WHERE revoked IS NULL",
    """CREATE TABLE IF NOT EXISTS certificate (
        serial TEXT PRIMARY KEY, device INTEGER NOT NULL REFERENCES device (id),
        ends TEXT NOT NULL, pem TEXT NOT NULL)""",
)
_IDS: Final = 2**64
_SELECT: Final = """SELECT device.*, max(certificate.ends) AS ends FROM device
    JOIN certificate ON certificate.device = device.id"""


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device of the fleet, active or revoked.

    Attributes:
        id: its number in the registry.
        name: see `common.enrolment.keys.checked_name`.
        public_key: OpenSSH.
        added: when it was enrolled.
        ends: when its newest certificate ends.
        revoked, reason: when and why it was revoked, None while it is active.
        node: Flower's node id, once the SuperLink has registered the device.
        removed: when the SuperLink had forgotten a revoked device, None before.
    """

    id: int
    name: str
    public_key: str
    added: datetime
    ends: datetime
    revoked: datetime | None
    reason: str | None
    node: int | None
    removed: datetime | None

    @property
    def active(self) -> bool:
        """Whether it may take part."""
        return self.revoked is None


class DeviceRegistry:
    """The registry's file; made, for its owner alone, where it is missing.

    Raises:
        WorkError: the file is no registry.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE))
        with self._transaction() as database:
            for statement in _TABLES:
                database.execute(statement)

    def add(
        self, name: str, public_key: str, certificate: x509.Certificate, *, now: datetime
    ) -> Device:
        """Enrol a device.

        Raises:
            UsageError: the name is an active device's, or the key was any device's.
        """
        with self._transaction() as database:
            taken = database.execute(
                "SELECT name FROM device WHERE public_key = ?", (public_key,)
            ).fetchone()
            if taken:
                raise UsageError(
                    f"the key of device {name} was enrolled as {taken['name']} already; make a new "
                    "key on the device"
                )
            if database.execute(
                "SELECT 1 FROM device WHERE name = ? AND revoked IS NULL", (name,)
            ).fetchone():
                raise UsageError(
                    f"device {name} is enrolled already; renew its certificate, or revoke it first"
                )
            row = database.execute(
                "INSERT INTO device (name, public_key, added) VALUES (?, ?, ?)",
                (name, public_key, now.isoformat()),
            )
            _insert_certificate(database, int(row.lastrowid or 0), certificate)
        return self.active(name)

    def renew(self, name: str, certificate: x509.Certificate) -> Device:
        """One more certificate of an active device; those before stay good until they end."""
        device = self.active(name)
        with self._transaction() as database:
            _insert_certificate(database, device.id, certificate)
        return self.active(name)

    def revoke(self, name: str, reason: str, *, now: datetime) -> Device:
        """Bar an active device, and all of its certificates, for good."""
        device = self.active(name)
        with self._transaction() as database:
            database.execute(
                "UPDATE device SET revoked = ?, reason = ? WHERE id = ? AND revoked IS NULL",
                (now.isoformat(), reason, device.id),
            )
        return self._by_id(device.id)

    def set_node(self, device: Device, node: int) -> None:
        """Remember under which id the SuperLink knows the device."""
        with self._transaction() as database:
            database.execute("UPDATE device SET node = ? WHERE id = ?", (_signed(node), device.id))

    def set_removed(self, device: Device, *, now: datetime) -> None:
        """Remember that the SuperLink has forgotten a revoked device."""
        with self._transaction() as database:
            database.execute(
                "UPDATE device SET removed = ? WHERE id = ?", (now.isoformat(), device.id)
            )

    def active(self, name: str) -> Device:
        """The active device of a name.

        Raises:
            UsageError: there is none.
        """
        found = self._devices("WHERE device.name = ? AND revoked IS NULL", name)
        if not found:
            raise UsageError(
                f"there is no active device {name!r}; `mien server devices` lists them"
            )
        return found[0]

    def all(self) -> list[Device]:
        """All devices that ever were, in the order in which they were enrolled."""
        return self._devices("")

    def revoked_serials(self) -> list[tuple[int, datetime]]:
        """Serial numbers of all certificates of revoked devices, and when they were revoked."""
        query = """SELECT serial, revoked FROM certificate JOIN device ON device.id = device
            WHERE revoked IS NOT NULL ORDER BY revoked, serial"""
        with self._transaction() as database:
            rows = database.execute(query).fetchall()
        return [(int(row["serial"]), datetime.fromisoformat(row["revoked"])) for row in rows]

    def certificates(self, device: Device) -> list[x509.Certificate]:
        """A device's certificates, oldest first."""
        query = "SELECT pem FROM certificate WHERE device = ? ORDER BY ends, rowid"
        with self._transaction() as database:
            rows = database.execute(query, (device.id,)).fetchall()
        return [x509.load_pem_x509_certificate(row["pem"].encode()) for row in rows]

    def _by_id(self, id: int) -> Device:
        return self._devices("WHERE device.id = ?", id)[0]

    def _devices(self, where: str, *values: object) -> list[Device]:
        query = f"{_SELECT} {where} GROUP BY device.id ORDER BY device.id"
        with self._transaction() as database:
            return [_device(row) for row in database.execute(query, values).fetchall()]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are on the disk at the end, or not made at all."""
        try:
            with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as database:
                database.row_factory = sqlite3.Row
                database.execute("PRAGMA synchronous = FULL")
                database.execute("PRAGMA secure_delete = ON")
                database.execute("BEGIN IMMEDIATE")
                yield database
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise WorkError(
                f"{self._path} could not be used as the registry of devices: {error}"
            ) from error


def _insert_certificate(
    database: sqlite3.Connection, device: int, certificate: x509.Certificate
) -> None:
    values = (
        str(certificate.serial_number),
        device,
        certificate.not_valid_after_utc.isoformat(),
        certificate.public_bytes(Encoding.PEM).decode(),
    )
    database.execute("INSERT INTO certificate VALUES (?, ?, ?, ?)", values)


def _device(row: Any) -> Device:
    values = dict(row)
    for name in ("added", "ends", "revoked", "removed"):
        if values[name] is not None:
            values[name] = datetime.fromisoformat(values[name])
    if values["node"] is not None:
        values["node"] %= _IDS
    return Device(**values)


def _signed(node: int) -> int:
    """Flower's ids are 64 bits without a sign, SQLite's numbers have one."""
    return node - _IDS if node >= _IDS // 2 else node
