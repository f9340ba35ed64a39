"""Which avatar a user has: encrypted in the vault, gone when the user is forgotten.

A drawn avatar's sheet lies in the vault whole.  Of a generator only its place, its SHA-256, its
weights and the user's word that TorchScript may run are kept; the file stays where it is.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.avatar.own import OwnAvatar, own_avatar_from
from client.avatar.setting import SETTING
from client.avatar.sources.generator import load_generator
from client.avatar.sources.interface import AvatarSource
from client.avatar.sources.sheet import AvatarSheet
from client.vault.encoding import decode_arrays, encode_arrays
from client.vault.records import User
from client.vault.vault import Vault
from common.errors import UsageError, WorkError

DRAWN, GENERATED = "drawn", "generated"


@dataclass(frozen=True, kw_only=True)
class GeneratorChoice:
    """A generator that a user chose.

    Attributes:
        path: of its file, whole.
        sha256: of that file when it was chosen.
        trust: SHA-256 of TorchScript files that the user trusts, separated by commas.
        structure: weight S; None for the description's own.
        colour: weight C likewise.
    """

    path: Path
    sha256: str
    trust: str = ""
    structure: float | None = None
    colour: float | None = None

    def load(self) -> AvatarSource:
        """The generator, if it is still the one that was chosen.

        Raises:
            UsageError, WorkError: see `load_generator`; or its file is another by now.
        """
        made = load_generator(
            self.path, trust=self.trust, structure=self.structure, colour=self.colour
        )
        if made.about.file.sha256 != self.sha256:
            raise WorkError(
                f"{self.path}: is not the generator that was chosen as the avatar any more; choose "
                "it anew with `mien avatar new`"
            )
        return made


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnChoice:
    """A drawn avatar, and the head that reads it where there is one."""

    sheet: AvatarSheet
    own: OwnAvatar | None = None

    def reader(self, spec: str) -> OwnAvatar | None:
        """The head, if it reads features of this spec."""
        return self.own if self.own is not None and self.own.spec == spec else None


Choice = DrawnChoice | GeneratorChoice


def save_avatar(vault: Vault, user: User, choice: Choice) -> None:
    """Keep a user's avatar in place of the one before."""
    vault.set_setting(SETTING, _told(choice), user=user.id)


def drop_avatar(vault: Vault, user: User) -> bool:
    """Let a user's avatar go; whether there was one."""
    had = vault.setting(SETTING, user=user.id) is not None
    if had:
        vault.set_setting(SETTING, None, user=user.id)
    return had


def avatar_of(vault: Vault, user_id: str) -> Choice | None:
    """The avatar that a user has set, or None.

    Raises:
        RowDamaged: the vault's row is damaged.
        WorkError: what is stored is no avatar.
    """
    told = vault.setting(SETTING, user=user_id)
    if told is None:
        return None
    try:
        return _choice(told)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise WorkError(
            f"the avatar in the vault is not whole ({error}); set it anew with `mien avatar new`"
        ) from error


def source_of(choice: Choice) -> AvatarSource:
    """What draws it.

    Raises:
        UsageError, WorkError: a generator's files are missing or others.
    """
    return choice.sheet if isinstance(choice, DrawnChoice) else choice.load()


def _told(choice: Choice) -> dict[str, Any]:
    if isinstance(choice, DrawnChoice):
        told = {"kind": DRAWN, "name": choice.sheet.name, "png": _text(choice.sheet.to_png())}
        if choice.own is not None:
            told |= {"spec": choice.own.spec, "own": _text(encode_arrays(choice.own.arrays()))}
        return told
    return {
        "kind": GENERATED,
        "path": str(choice.path),
        "sha256": choice.sha256,
        "trust": choice.trust,
        "structure": choice.structure,
        "colour": choice.colour,
    }


def _choice(told: dict[str, Any]) -> Choice:
    if told["kind"] == DRAWN:
        sheet = AvatarSheet.from_png(_bytes(told["png"]), str(told["name"]))
        if "own" not in told:
            return DrawnChoice(sheet=sheet)
        own = own_avatar_from(str(told["spec"]), decode_arrays(_bytes(told["own"])))
        return DrawnChoice(sheet=sheet, own=own)
    if told["kind"] != GENERATED:
        raise ValueError(f"its kind is {told['kind']!r}")
    return GeneratorChoice(
        path=Path(told["path"]),
        sha256=str(told["sha256"]),
        trust=str(told["trust"]),
        structure=told["structure"],
        colour=told["colour"],
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"a part of it is no base64 ({error})") from error
