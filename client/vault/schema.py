"""The vault's tables. Plain columns hold random ids, numbers in order and keyed hashes only.

users     about: name, time of enrolment, consent
gallery   entry: embeddings of a user's face from one clip, with their spec
clips     about: name, time, digest, spec; answer: what the device said; label: what the user said,
          with history; arrays: features and the backbone's own logits
heads     one per user, and the universal one, whose owner is the empty text
settings  name and value; those of a user go when the user goes
ledger    what left this device, entry after entry
errors    full texts of errors, of which nobody else learns
seals     what must hold of a table as a whole: the ledger's length and last hash
vault     one row: id, the locked data key, a value that tells the right data key from others,
          and a checksum that tells a damaged lock from a wrong key
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

FORMAT: Final = 2
APPLICATION: Final = 0x4D69656E
""""Mien" in SQLite's header."""

SCHEMA: Final = """
CREATE TABLE vault (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    lock TEXT NOT NULL,
    key_check BLOB NOT NULL,
    checksum BLOB NOT NULL
);
CREATE TABLE users (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name_hash BLOB NOT NULL UNIQUE,
    about BLOB NOT NULL
);
CREATE TABLE gallery (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    entry BLOB NOT NULL
);
CREATE TABLE clips (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest_hash BLOB NOT NULL UNIQUE,
    about BLOB NOT NULL,
    answer BLOB NOT NULL,
    label BLOB NOT NULL,
    arrays BLOB NOT NULL
);
CREATE INDEX gallery_of_user ON gallery (user);
CREATE INDEX clips_of_user ON clips (user);
CREATE TABLE heads (owner TEXT PRIMARY KEY NOT NULL, about BLOB NOT NULL, arrays BLOB NOT NULL);
CREATE TABLE settings (
    id TEXT PRIMARY KEY NOT NULL,
    user TEXT NOT NULL,
    name_hash BLOB NOT NULL UNIQUE,
    value BLOB NOT NULL
);
CREATE TABLE ledger (number INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE errors (number INTEGER PRIMARY KEY AUTOINCREMENT, text BLOB NOT NULL);
CREATE TABLE seals (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL);
"""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Where a table's private values are.

    Attributes:
        name: of the table.
        key: column that identifies a row.
        bound: plain columns that a value must not be parted from.
        sealed: encrypted columns.
        hashed: keyed hash column, and the sealed column and JSON key of what is hashed.
    """

    name: str
    key: str = "id"
    bound: tuple[str, ...] = ()
    sealed: tuple[str, ...]
    hashed: tuple[str, str, str] | None = None


USERS: Final = Table(name="users", sealed=("about",), hashed=("name_hash", "about", "name"))
GALLERY: Final = Table(name="gallery", bound=("user",), sealed=("entry",))
CLIPS: Final = Table(
    name="clips",
    bound=("user",),
    sealed=("about", "answer", "label", "arrays"),
    hashed=("digest_hash", "about", "digest"),
)
HEADS: Final = Table(name="heads", key="owner", sealed=("about", "arrays"))
SETTINGS: Final = Table(
    name="settings", bound=("user",), sealed=("value",), hashed=("name_hash", "value", "name")
)
LEDGER: Final = Table(name="ledger", key="number", sealed=("entry",))
ERRORS: Final = Table(name="errors", key="number", sealed=("text",))
SEALS: Final = Table(name="seals", key="name", sealed=("value",))
TABLES: Final = (USERS, GALLERY, CLIPS, HEADS, SETTINGS, LEDGER, ERRORS, SEALS)


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of the newest format in an empty database."""
    connection.executescript(SCHEMA)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
