"""Bringing the newest release to devices: with rounds, in pauses, and in runs for this alone.

Who confirmed it is noted beside the federation, so that the running server sees for whom a run is
needed. A confirmation says that a device took the message in; what it makes of a release is its own
affair.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from common.files import private_folder, write_atomically
from server.flower_adapter import FlowerFleet
from server.registry import Registry

NOTE: Final = "announced.json"
MOST_LINKS: Final = 2000
MOST_LINK_BYTES: Final = 4 * 2**20
POLL_SECONDS: Final = 0.2
HEAR_SECONDS: Final = 60.0
"""For which a run's end waits for devices to take the last release."""
SLICE_SECONDS: Final = 1.0
FIRST_WAIT: Final = 60.0
LONGEST_WAIT: Final = 3600.0


def with_links(registry: Registry, sequence: int) -> tuple[bytes, list[bytes]]:
    """A release, and the links before it that a device may lack: the newest that fit a message."""
    links, size = registry.links(max(0, sequence - 1 - MOST_LINKS), sequence), 0
    for count, link in enumerate(reversed(links)):
        size += len(link)
        if size > MOST_LINK_BYTES:
            links = links[len(links) - count :]
            break
    return registry.path(sequence).read_bytes(), links


def newest_after(registry: Registry, known: int) -> int:
    """The newest release's sequence number; `known` is that of one that is there, or 0."""
    while registry.path(known + 1).exists():
        known += 1
    return known


@dataclass(frozen=True)
class Announced:
    """A release's sequence number, 0 for none, and the ids of the nodes that confirmed it."""

    sequence: int = 0
    nodes: frozenset[int] = frozenset()


def announced(federation: Path) -> Announced:
    """What was noted last; nothing where the note is missing or damaged: it is made anew."""
    try:
        told = json.loads((federation / NOTE).read_text(encoding="utf-8"))
        return Announced(int(told["sequence"]), frozenset(int(node) for node in told["nodes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Announced()


class Witness:
    """A Flower Grid that shows the nodes which did not confirm yet, and sees who does.

    Args:
        grid: Flower's.
    """

    def __init__(self, grid: Any) -> None:
        self._grid = grid
        self._sent: dict[str, int] = {}
        self.confirmed: set[int] = set()

    def start_with(self, confirmed: Iterable[int]) -> None:
        """Begin with another release, which some nodes confirmed before."""
        self._sent, self.confirmed = {}, set(confirmed)

    def get_node_ids(self) -> list[int]:
        """Connected nodes that did not confirm."""
        return [node for node in self._grid.get_node_ids() if node not in self.confirmed]

    def push_messages(self, messages: Iterable[Any]) -> list[str]:
        """Send messages, and remember to whom."""
        sent = list(messages)
        ids: list[str] = list(self._grid.push_messages(sent))
        nodes = (message.metadata.dst_node_id for message in sent)
        self._sent.update(zip(ids, nodes, strict=True))
        return ids

    def pull_messages(self, ids: Iterable[str]) -> list[Any]:
        """Replies; one that is no error confirms."""
        replies = list(self._grid.pull_messages(ids))
        asked = {reply.metadata.reply_to_message_id for reply in replies if not reply.has_error()}
        self.confirmed.update(self._sent[each] for each in asked if each in self._sent)
        return replies


class Herald:
    """Brings the newest release to whoever did not confirm it, inside Flower's server process.

    Args:
        grid: Flower's.
        registry: of the releases.
        federation: the folder for the note; made where it is missing.
    """

    def __init__(self, grid: object, registry: Registry, federation: Path) -> None:
        self._witness = Witness(grid)
        self._fleet = FlowerFleet(
            self._witness,  # type: ignore[arg-type]
            devices=0,
            timeout=HEAR_SECONDS,
            poll=POLL_SECONDS,
        )
        self._registry = registry
        self._federation = federation
        self._noted = announced(federation)
        self._content: tuple[bytes, list[bytes]] = (b"", [])
        self._sequence = 0

    def bring(self) -> None:
        """Send the newest release to connected devices; a new one is read, with its chain."""
        if newest_after(self._registry, self._sequence) > self._sequence:
            self._read_newest()
        if self._sequence:
            self._fleet.tell(*self._content)
            self._note()

    def hear(self, patience: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Wait for confirmations: so many seconds, until all came, or until `enough` says so."""
        deadline = time.monotonic() + patience
        while self._fleet.hear(min(SLICE_SECONDS, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline or enough():
                break
        self._note()

    def _read_newest(self) -> None:
        newest = self._registry.head().manifest
        if newest is None:
            return
        self._sequence = newest.sequence
        self._content = with_links(self._registry, newest.sequence)
        before = self._noted.nodes if self._noted.sequence == newest.sequence else ()
        self._witness.start_with(before)

    def _note(self) -> None:
        now = Announced(self._sequence, frozenset(self._witness.confirmed))
        if not self._sequence or now == self._noted:
            return
        told = {"sequence": now.sequence, "nodes": sorted(now.nodes)}
        try:
            private_folder(self._federation)
            write_atomically(self._federation / NOTE, json.dumps(told).encode())
        except OSError:
            return  # a full disk must not end a round: these devices are brought it once more
        self._noted = now


@dataclass
class News:
    """Says when a run is due that brings the newest release and does nothing else.

    A device that came online is brought it within `FIRST_WAIT` seconds after the run before; for
    those that did not confirm it the waits double, up to `LONGEST_WAIT`.

    Attributes:
        federation: folder of the note.
        clock: seconds, for tests.
    """

    federation: Path
    clock: Callable[[], float] = time.monotonic
    _sequence: int = 0
    _tried: frozenset[int] = frozenset()
    _wait: float = FIRST_WAIT
    _last: float = field(default=float("-inf"))

    def due(self, newest: int, online: Iterable[int]) -> bool:
        """Whether to start such a run now; the caller then does.

        Args:
            newest: sequence number of the newest release, 0 for none.
            online: ids of the connected nodes.
        """
        known = announced(self.federation)
        lacking = frozenset(online) - (known.nodes if known.sequence == newest else frozenset())
        if not newest or not lacking:
            return False
        if newest != self._sequence:
            self._sequence, self._tried, self._last = newest, frozenset(), float("-inf")
        fresh = not lacking <= self._tried
        if self.clock() < self._last + (FIRST_WAIT if fresh else self._wait):
            return False
        self._wait = FIRST_WAIT if fresh else min(2 * self._wait, LONGEST_WAIT)
        self._tried |= lacking
        self._last = self.clock()
        return True
