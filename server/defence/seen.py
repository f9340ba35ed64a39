"""Which updates came before, and for which head: an old update that comes again is refused.

An update belongs to the head that it was trained from. The same bytes for the same head are no
replay: a round that is tried again after a crash, or a round whose head did not move, brings them
from an honest device too. Updates of zeros only are not remembered: they move nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from common.errors import WorkError
from common.update import HeadUpdate

MOST: Final = 100_000


@dataclass(frozen=True)
class Seen:
    """Digests of accepted updates of one federation, oldest first, with their head's digest."""

    heads: Mapping[str, str] = field(default_factory=dict)

    def is_old(self, update: HeadUpdate, head: str) -> bool:
        """Whether the update was accepted before, as one of another head."""
        return self.heads.get(update.sha256, head) != head

    def after(self, updates: Iterable[HeadUpdate], head: str) -> Seen:
        """With a round's accepted updates; the `MOST` newest are kept."""
        new = {update.sha256: head for update in updates if _moves(update)}
        kept = {digest: of for digest, of in self.heads.items() if digest not in new} | new
        return Seen(dict(list(kept.items())[-MOST:]))

    def to_json(self) -> str:
        """What to keep with the round's checkpoint."""
        return json.dumps(list(self.heads.items()))

    @classmethod
    def from_json(cls, text: str) -> Seen:
        """Inverse of `to_json`.

        Raises:
            WorkError: damaged. An empty memory would let old updates in, so none is made up.
        """
        try:
            heads = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise WorkError(f"the memory of old updates could not be read: {error}") from error
        if not all(type(value) is str for pair in heads.items() for value in pair):
            raise WorkError("the memory of old updates could not be read: it holds no digests")
        return cls(heads)


def _moves(update: HeadUpdate) -> bool:
    return any(array.any() for array in update.arrays.values())
