"""What a user may be called."""

from __future__ import annotations

from typing import Final

from client.recognition.answer import UNKNOWN
from common.errors import UsageError

LONGEST_NAME: Final = 100


def check_name(name: str) -> str:
    """A user's name, if it can be one.

    Raises:
        UsageError: it is empty, too long, not printable, or means guests.
    """
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise UsageError(
            f"a user can't be called {name!r:.80}; expected printable text without spaces around it"
        )
    if len(name) > LONGEST_NAME:
        raise UsageError(
            f"a user's name has {len(name)} characters, expected at most {LONGEST_NAME}"
        )
    if name.casefold() == UNKNOWN:
        raise UsageError(f"a user can't be called {name!r}: that is what guests are called")
    return name


def printable(text: str) -> str:
    """Text without control characters or halves of characters, as file names may have them."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
