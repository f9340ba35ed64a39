"""Settings and the error log in the vault."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from client.vault.cipher import new_id
from client.vault.encoding import decode_json, encode_json
from client.vault.part import VaultPart
from client.vault.schema import ERRORS, SETTINGS

MOST_ERRORS: Final = 200
"""Older entries of the error log go."""


class Notes(VaultPart):
    """The part of `Vault` that concerns settings and errors."""

    def setting(self, name: str, default: Any = None, *, user: str = "") -> Any:
        """A JSON value that was set, or the default.

        Args:
            name: of the setting; it is encrypted, too.
            default: what is told where it was never set.
            user: id of the user whose setting it is; such a one goes when the user goes.

        Raises:
            RowDamaged: it is there but damaged.
        """
        text = f"{user}/{name}"
        found = self._one_hashed(SETTINGS, SETTINGS.sealed, _setting, "name_hash", text)
        return default if found is None else found["value"]

    def set_setting(self, name: str, value: Any, *, user: str = "") -> None:
        """Keep a JSON value.

        Raises:
            TypeError, ValueError: it is no JSON value.
            UsageError: there is no such user.
        """
        content = encode_json({"name": f"{user}/{name}", "value": value})
        with self._db.writing() as connection:
            hashed = self._db.cipher.hashed("name_hash", f"{user}/{name}")
            if user:
                self._check_user(user)
            connection.execute("DELETE FROM settings WHERE name_hash = ?", (hashed,))
            plain = {"id": new_id(), "user": user, "name_hash": hashed}
            self._db.insert(SETTINGS, plain, {"value": content})

    def log_error(self, text: str) -> None:
        """Keep an error's full text, encrypted; only the newest `MOST_ERRORS` stay."""
        told = {"at": now(), "text": text}
        with self._db.writing() as connection:
            query = "SELECT coalesce(max(number), 0) + 1 FROM errors"
            (number,) = connection.execute(query).fetchone()
            self._db.insert(ERRORS, {"number": number}, {"text": encode_json(told)})
            connection.execute("DELETE FROM errors WHERE number <= ?", (number - MOST_ERRORS,))

    def errors(self) -> tuple[tuple[str, str], ...]:
        """Time and text of each error, oldest first; damaged ones are left out."""
        return tuple(self._listed(ERRORS, ERRORS.sealed, _error, "ORDER BY number"))


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _setting(id: str, user: str, content: bytes) -> dict[str, Any]:
    return {"value": decode_json(content)["value"]}


def _error(number: int, content: bytes) -> tuple[str, str]:
    told = decode_json(content)
    return str(told["at"]), str(told["text"])
