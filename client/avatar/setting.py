"""Whether a user has an avatar: all that must be known before anything of it is loaded."""

from __future__ import annotations

from typing import Final

from client.vault.vault import Vault

SETTING: Final = "avatar"
"""Of a user, in the vault; goes with the user."""


def has_avatar(vault: Vault, user_id: str) -> bool:
    """Whether a user has set an avatar.

    Raises:
        RowDamaged: the vault's row is damaged.
    """
    return vault.setting(SETTING, user=user_id) is not None
