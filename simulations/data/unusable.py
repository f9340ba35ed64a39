"""A clip that cannot be used, with its reason: told in a list, never the end of a run."""

from __future__ import annotations

from typing import NamedTuple


class LeftOut(NamedTuple):
    """A clip that is not used.

    `clip` is its path below the data's root, `reason` a short stable name, `detail` a sentence.
    """

    clip: str
    reason: str
    detail: str


class Unusable(Exception):
    """Raised where a clip turns out to be unusable: a short stable name and a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
