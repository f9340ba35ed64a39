"""Clips in the vault: what was seen, what was answered, and what the user said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from client.vault.encoding import (
    decode_clip,
    decode_clip_arrays,
    decode_json,
    encode_answer,
    encode_clip,
    encode_clip_arrays,
    encode_json,
)
from client.vault.notes import now
from client.vault.part import VaultPart, check_id
from client.vault.records import Clip, ClipArrays
from client.vault.schema import CLIPS
from common.errors import UsageError
from common.expressions import EXPRESSIONS

_TOLD: Final = ("about", "answer", "label")


class Recordings(VaultPart):
    """The part of `Vault` that concerns clips."""

    def add_clip(self, clip: Clip, arrays: ClipArrays) -> None:
        """Keep a clip of a known user.

        Raises:
            UsageError: no such user, the same content is there already, or the label is no
                expression.
            ValueError: the id is none that `new_id` makes, or the features have another shape.
        """
        check_id(clip.id)
        history = [] if clip.label is None else [_event(clip.label)]
        sealed = {
            **encode_clip(clip),
            "label": encode_json(history),
            "arrays": encode_clip_arrays(arrays),
        }
        with self._db.writing() as connection:
            digest_hash = self._db.cipher.hashed("digest_hash", clip.digest)
            self._check_user(clip.user)
            same = "SELECT 1 FROM clips WHERE digest_hash = ? OR id = ?"
            if connection.execute(same, (digest_hash, clip.id)).fetchone():
                raise UsageError(f"{clip.name}: this clip is in the vault already")
            plain = {"id": clip.id, "user": clip.user, "digest_hash": digest_hash}
            self._db.insert(CLIPS, plain, sealed)

    def clips(self, *, user: str | None = None, labelled: bool | None = None) -> tuple[Clip, ...]:
        """Clips, newest first; damaged ones are left out, see `noticed`.

        Args:
            user: only this user's (id).
            labelled: only those that have a label, or only those that have none.
        """
        where, given = ("WHERE user = ?", (user,)) if user is not None else ("", ())
        order = f"{where} ORDER BY number DESC"
        found = self._listed(CLIPS, _TOLD, decode_clip, order, *given)
        return tuple(c for c in found if labelled is None or (c.label is not None) == labelled)

    def clip(self, id: str) -> Clip | None:
        """One clip; None if there is none.

        Raises:
            RowDamaged: it is there but damaged.
        """
        return self._one(CLIPS, _TOLD, decode_clip, "id", id)

    def clip_by_digest(self, digest: str) -> Clip | None:
        """The clip of a file's content, named by its hexadecimal SHA-256; None if there is none.

        Raises:
            RowDamaged: it is there but damaged.
        """
        return self._one_hashed(CLIPS, _TOLD, decode_clip, "digest_hash", digest)

    def arrays(self, id: str) -> ClipArrays:
        """A clip's features and own logits.

        Raises:
            UsageError: there is no such clip.
            RowDamaged: they are damaged.
        """
        found = self._one(CLIPS, ("arrays",), _arrays, "id", id)
        if found is None:
            raise _no_clip(id)
        return found

    def label(self, id: str, label: int) -> None:
        """Confirm or correct a clip's expression; what was said before is kept.

        Args:
            id: of the clip.
            label: index into `EXPRESSIONS`.

        Raises:
            UsageError: there is no such clip or expression.
            RowDamaged: the labels so far are damaged.
        """
        event = _event(label)
        with self._db.writing():
            history = [*self._history(id), event]
            self._db.change(CLIPS, id, "label", encode_json(history))

    def undo_label(self, id: str) -> int | None:
        """Take the newest label back.

        Returns:
            The label that holds now, None where none is left.

        Raises:
            UsageError: there is no such clip.
            RowDamaged: the labels are damaged.
        """
        with self._db.writing():
            history = self._history(id)[:-1]
            self._db.change(CLIPS, id, "label", encode_json(history))
        return int(history[-1]["label"]) if history else None

    def label_history(self, id: str) -> tuple[tuple[int, str], ...]:
        """Labels that a clip was given and that hold or held, oldest first, each with its time.

        Raises:
            UsageError: there is no such clip.
            RowDamaged: the labels are damaged.
        """
        with self._db.reading():
            return tuple((int(told["label"]), str(told["at"])) for told in self._history(id))

    def set_answer(self, id: str, answer: Mapping[str, Any], guessed: int) -> None:
        """Put a new answer in place of a clip's old one.

        Raises:
            UsageError: there is no such clip.
        """
        with self._db.writing():
            self._row(id, "answer")
            self._db.change(CLIPS, id, "answer", encode_answer(answer, guessed))

    def delete_clip(self, id: str) -> None:
        """Erase one clip; its encrypted pages stay in the log until that is next emptied.

        Raises:
            UsageError: there is no such clip.
        """
        with self._db.writing() as connection:
            self._row(id, "about")
            connection.execute("DELETE FROM clips WHERE id = ?", (id,))

    def _history(self, id: str) -> list[dict[str, Any]]:
        place, sealed = self._row(id, "label")
        return self._db.opened(CLIPS, ("label",), place, sealed, _labels)

    def _row(self, id: str, column: str) -> tuple[tuple[Any, ...], tuple[object, ...]]:
        rows = list(self._db.rows(CLIPS, (column,), "WHERE id = ?", (id,)))
        if not rows:
            raise _no_clip(id)
        return rows[0]


def _no_clip(id: str) -> UsageError:
    return UsageError(f"there is no clip {id!r} in the vault")


def _event(label: int) -> dict[str, Any]:
    if isinstance(label, bool) or not 0 <= int(label) < len(EXPRESSIONS):
        raise UsageError(f"label {label!r} is no expression: expected 0 to {len(EXPRESSIONS) - 1}")
    return {"label": int(label), "at": now()}


def _labels(id: str, user: str, content: bytes) -> list[dict[str, Any]]:
    return [{"label": int(told["label"]), "at": told["at"]} for told in decode_json(content)]


def _arrays(id: str, user: str, content: bytes) -> ClipArrays:
    return decode_clip_arrays(content)
