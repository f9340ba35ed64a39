"""What command line, page and daemon do with a device where no model is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from client.device import erase, export
from client.device.budget import PAUSED_SETTING, exposure_status
from client.device.described import clip_row, head_in_use, release_row, user_row
from client.device.due import feature_spec, is_due, personalise_after, progress
from client.membership import fleet_status
from client.vault.errors import RowDamaged
from client.vault.records import CONSENT_VERSION, Clip, Consent, User
from client.vault.vault import Vault
from common.errors import UsageError
from common.expressions import EXPRESSIONS

SHORTEST_PREFIX: Final = 4
_NAMED_AT_MOST: Final = 5


class Device:
    """One device's vault; every method changes it whole or not at all.

    Names of users are exact; a clip is named by its id, the first digits of it (at least
    `SHORTEST_PREFIX`), or its file's name where only one clip has it.
    """

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def users(self) -> list[dict[str, Any]]:
        """All users by name; see `described.user_row`."""
        users = sorted(self.vault.users(), key=lambda user: user.name)
        return [user_row(self.vault, user) for user in users]

    def inbox(self, *, user: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Clips that wait for the user's word, the least sure first; then the others, newest first.

        Args:
            user: name of the user whose clips; None for all.
            limit: at most so many clips.

        Returns:
            See `described.clip_row`.

        Raises:
            UsageError: there is no such user.
        """
        chosen = None if user is None else self._user(user).id
        rows = self._rows(self.vault.clips(user=chosen))
        waiting = sorted(
            (row for row in rows if row["label"] is None), key=lambda row: row["confidence"]
        )
        return [*waiting, *(row for row in rows if row["label"] is not None)][: max(limit, 0)]

    def clip(self, id: str) -> dict[str, Any] | None:
        """The clip with this id; see `described.clip_row`."""
        found = self.vault.clip(id)
        return None if found is None else self._rows([found])[0]

    def clip_of_file(self, digest: str) -> str | None:
        """Id of the clip whose file has this SHA-256 (hexadecimal)."""
        found = self.vault.clip_by_digest(digest)
        return None if found is None else found.id

    def correct(self, id_or_name: str, expression: str) -> dict[str, Any]:
        """Confirm a clip's expression or correct it; an earlier word of the user is replaced.

        Returns:
            clip, name, user, expression, was (answered), confirmed, corrections (new ones since
            the user's head was last fitted), due (time to personalise).

        Raises:
            UsageError: no such expression, no such clip, or more than one.
        """
        label = expression_label(expression)
        with self.vault.transaction():
            clip = self._find(id_or_name)
            self.vault.label(clip.id, label)
            return self._told(clip) | {
                "expression": EXPRESSIONS[label],
                "was": EXPRESSIONS[clip.guessed],
                "confirmed": label == clip.guessed,
            }

    def undo(self, id: str) -> dict[str, Any]:
        """Take back the last word on a clip; the one before it holds again.

        Returns:
            clip, name, user, expression (what the user said before, or None), corrections, due.

        Raises:
            UsageError: no such clip, or nothing was said of it.
        """
        with self.vault.transaction():
            clip = self._find(id)
            if clip.label is None:
                raise UsageError(f"{clip.name}: there is no correction to take back")
            held = self.vault.undo_label(clip.id)
            return self._told(clip) | {"expression": None if held is None else EXPRESSIONS[held]}

    def discard(self, id: str) -> dict[str, Any]:
        """Erase a clip, as one of somebody else that was taken for the user's.

        The user's personal head was made with it, and goes too: it is made anew when that is due.

        Raises:
            UsageError: no such clip, or more than one.
            VaultBusy, VaultFull: it is erased, but old encrypted pages stay for the moment.
        """
        with self.vault.transaction():
            clip = self._find(id)
            self.vault.delete_clip(clip.id)
            self.vault.drop_personal(clip.user)
            told = self._told(clip)
        self.vault.wipe()
        return told

    def consent(self, name: str, *, federate: bool) -> dict[str, Any]:
        """Change whether a user helps to improve the universal head; see `described.user_row`.

        Raises:
            UsageError: there is no such user.
        """
        given = datetime.now(UTC).isoformat(timespec="seconds")
        with self.vault.transaction():
            agreed = Consent(version=CONSENT_VERSION, given=given, federate=federate)
            user = replace(self._user(name), consent=agreed)
            self.vault.save_user(user)
        return user_row(self.vault, user)

    def pause(self, paused: bool) -> None:
        """Stop taking part in the fleet, or go on."""
        self.vault.set_setting(PAUSED_SETTING, bool(paused))

    @property
    def paused(self) -> bool:
        """Whether taking part is paused."""
        return bool(self.vault.setting(PAUSED_SETTING, False))

    def ledger(self) -> list[dict[str, Any]]:
        """What left this device, first to last; see `described.release_row`.

        Raises:
            LedgerBroken: an entry was changed, removed or cut short.
        """
        return [release_row(each) for each in self.vault.ledger.entries() if "arrays" in each]

    def forget(self, name: str) -> dict[str, Any]:
        """Erase all of a user and check that nothing is left; see `erase.forget`.

        Raises:
            UsageError: there is no such user.
            WorkError: something could still be found.
        """
        return erase.forget(self.vault, self._user(name))

    def export(self, name: str | None = None, *, full: bool = False) -> dict[str, Any]:
        """All that this device knows of a user, or of every user; see `export.export`.

        Raises:
            UsageError: there is no such user.
        """
        users = self.vault.users() if name is None else (self._user(name),)
        return export.export(self.vault, users, full=full)

    def status(self) -> dict[str, Any]:
        """The device in numbers: users, clips, heads, releases, damaged rows, what is due.

        `fleet` is `client.membership.fleet_status`: the fleet that it is in, or None; `exposure`
        is `client.device.budget.exposure_status`.
        """
        entries = [each for each in self.vault.ledger.entries() if "arrays" in each]
        spec = feature_spec(self.vault)
        users, clips = self.vault.users(), self.vault.clips()
        universal = self._universal()
        return {
            "folder": str(self.vault.folder),
            "features": spec,
            "users": len(users),
            "taking_part": [user.name for user in users if user.consent.federate],
            "paused": self.paused,
            "clips": len(clips),
            "waiting": sum(clip.label is None for clip in clips),
            "other_backbone": sum(clip.spec != spec for clip in clips),
            "due": [user.name for user in users if is_due(self.vault, user.id)],
            "personalise_after": personalise_after(self.vault),
            "head": head_in_use(self.vault, None, spec)["kind"],
            "universal_head": universal,
            "releases": len(entries),
            "exposure": exposure_status(self.vault, entries),
            "damaged": len(self.vault.noticed),
            "fleet": fleet_status(self.vault),
        }

    def _universal(self) -> dict[str, Any] | None:
        try:
            head = self.vault.universal()
        except RowDamaged as damage:
            return {"damaged": str(damage)}
        return None if head is None else dict(head.about)

    def _told(self, clip: Clip) -> dict[str, Any]:
        owner = self.vault.user_by_id(clip.user)
        came = progress(self.vault, clip.user)
        return {
            "clip": clip.id,
            "name": clip.name,
            "user": owner.name if owner else "",
            "corrections": came.new,
            "due": came.due,
        }

    def _rows(self, clips: Sequence[Clip]) -> list[dict[str, Any]]:
        names = {user.id: user.name for user in self.vault.users()}
        spec = feature_spec(self.vault)
        return [clip_row(clip, names, spec) for clip in clips]

    def _user(self, name: str) -> User:
        found = self.vault.user(name) if name.isprintable() else None
        if found is None:
            raise UsageError(f"nobody is enrolled here as {name!r:.120}; `mien users` lists who is")
        return found

    def _find(self, text: str) -> Clip:
        exact = self.vault.clip(text) if re.fullmatch("[0-9a-f]{32}", text) else None
        if exact is not None:
            return exact
        clips = self.vault.clips()
        found = [clip for clip in clips if clip.name == text]
        if not found and re.fullmatch(f"[0-9a-f]{{{SHORTEST_PREFIX},}}", text):
            found = [clip for clip in clips if clip.id.startswith(text)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise UsageError(
                f"no clip here is called {text!r:.200}; `mien clips` lists them (clips of guests "
                "are not kept)"
            )
        ids = ", ".join(clip.id for clip in found[:_NAMED_AT_MOST])
        raise UsageError(f"{len(found)} clips are called {text!r:.200}; name one by its id: {ids}")


def expression_label(name: str) -> int:
    """Label 0..7 of an expression, however its name is capitalised.

    Raises:
        UsageError: there is no such expression.
    """
    plain = name.strip().lower()
    if plain not in EXPRESSIONS:
        raise UsageError(
            f"{name!r:.80} is none of the expressions: choose one of {', '.join(EXPRESSIONS)}"
        )
    return EXPRESSIONS.index(plain)
