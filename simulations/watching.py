"""How long work tells how far it has come."""

from __future__ import annotations

from typing import Protocol


class Watcher(Protocol):
    """Told how far a phase has come; the command line draws it."""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """`done` of `total` steps of `phase` are done."""
        ...


def unwatched(phase: str, done: int, total: int) -> None:
    """A watcher that looks away."""
