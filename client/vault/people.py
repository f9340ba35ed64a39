"""Users, their galleries and their personal heads in the vault; and the universal head."""

from __future__ import annotations

from client.vault.cipher import new_id
from client.vault.encoding import (
    decode_gallery,
    decode_head,
    decode_user,
    encode_arrays,
    encode_gallery,
    encode_json,
    encode_user,
)
from client.vault.part import VaultPart, check_id
from client.vault.records import GalleryEntry, StoredHead, User
from client.vault.schema import GALLERY, HEADS, USERS
from common.errors import UsageError

UNIVERSAL_OWNER = ""


class People(VaultPart):
    """The part of `Vault` that concerns users and heads."""

    def users(self) -> tuple[User, ...]:
        """All users in the order of enrolment; damaged ones are left out, see `noticed`."""
        return tuple(self._listed(USERS, USERS.sealed, decode_user, "ORDER BY number"))

    def user(self, name: str) -> User | None:
        """The user of exactly this name; None if there is none.

        Raises:
            RowDamaged: the row is there but damaged.
        """
        return self._one_hashed(USERS, USERS.sealed, decode_user, "name_hash", name)

    def user_by_id(self, id: str) -> User | None:
        """The user with this id; None if there is none.

        Raises:
            RowDamaged: the row is there but damaged.
        """
        return self._one(USERS, USERS.sealed, decode_user, "id", id)

    def save_user(self, user: User) -> None:
        """Add a user, or change the one with the same id.

        Raises:
            UsageError: the name is empty, or another user's.
            ValueError: the id is none that `new_id` makes.
        """
        check_id(user.id)
        if not user.name.strip():
            raise UsageError("a user's name is empty; give one")
        with self._db.writing() as connection:
            name_hash = self._db.cipher.hashed("name_hash", user.name)
            taken = connection.execute(
                "SELECT 1 FROM users WHERE name_hash = ? AND id <> ?", (name_hash, user.id)
            ).fetchone()
            if taken:
                raise UsageError(f"there is a user called {user.name!r} already; choose another")
            self._db.put(
                USERS, {"id": user.id, "name_hash": name_hash}, {"about": encode_user(user)}
            )

    def add_gallery(self, entry: GalleryEntry) -> None:
        """Add the embeddings of one clip to a user's gallery.

        Raises:
            UsageError: there is no such user.
        """
        with self._db.writing():
            self._check_user(entry.user)
            plain = {"id": new_id(), "user": entry.user}
            self._db.insert(GALLERY, plain, {"entry": encode_gallery(entry)})

    def gallery(self, spec: str) -> tuple[GalleryEntry, ...]:
        """All entries that a network made, oldest first; damaged ones are left out."""
        entries = self._listed(GALLERY, GALLERY.sealed, _gallery, "ORDER BY number")
        return tuple(entry for entry in entries if entry.spec == spec)

    def save_personal(self, user: str, head: StoredHead) -> None:
        """Keep a user's head, in place of the one before.

        Raises:
            UsageError: there is no such user.
            ValueError: an array is neither float32 nor float64.
        """
        with self._db.writing():
            self._check_user(user)
            self._save_head(user, head)

    def personal(self, user: str) -> StoredHead | None:
        """A user's head; None if there is none.

        Raises:
            RowDamaged: it is there but damaged.
        """
        return self._head(check_id(user))

    def drop_personal(self, user: str) -> None:
        """Take a user's head away, if there is one."""
        with self._db.writing() as connection:
            connection.execute("DELETE FROM heads WHERE owner = ?", (check_id(user),))

    def save_universal(self, head: StoredHead) -> None:
        """Keep the universal head, in place of the one before."""
        self._save_head(UNIVERSAL_OWNER, head)

    def universal(self) -> StoredHead | None:
        """The universal head; None if there is none.

        Raises:
            RowDamaged: it is there but damaged.
        """
        return self._head(UNIVERSAL_OWNER)

    def _save_head(self, owner: str, head: StoredHead) -> None:
        sealed = {
            "about": encode_json(dict(head.about)),
            "arrays": encode_arrays(head.arrays),
        }
        self._db.put(HEADS, {"owner": owner}, sealed)

    def _head(self, owner: str) -> StoredHead | None:
        return self._one(HEADS, HEADS.sealed, _head, "owner", owner)


def _gallery(id: str, user: str, content: bytes) -> GalleryEntry:
    return decode_gallery(user, content)


def _head(owner: str, about: bytes, arrays: bytes) -> StoredHead:
    return decode_head(about, arrays)
