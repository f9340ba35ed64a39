"""What devices sent, round by round and array by array, as the server's records say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

import numpy as np

from simulations.report.facts import visible

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Round:
    """One round of a federation: `clients` devices sent `bytes` bytes together."""

    number: int
    stage: str
    clients: int
    bytes: int
    cumulative: int
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """Consecutive rounds that are alike, `first` to `last`."""

    first: Round
    last: Round


@dataclass(frozen=True)
class Traffic:
    """The rounds of one federation, or of several whose rounds are all alike."""

    federations: tuple[str, ...]
    rounds: tuple[Round, ...]

    @property
    def title(self) -> str:
        """Names of the federations; of many, the first and the last.

        >>> Traffic(("fold-1", "fold-2", "fold-3"), ()).title
        'fold-1 to fold-3 (3 alike)'
        """
        names = self.federations
        if len(names) < 3:
            return " and ".join(names)
        return f"{names[0]} to {names[-1]} ({len(names)} alike)"

    @property
    def total(self) -> int:
        """Bytes of one federation."""
        return self.rounds[-1].cumulative

    @property
    def runs(self) -> tuple[Run, ...]:
        """The rounds, like neighbours taken together."""
        kinds = groupby(self.rounds, key=lambda r: (r.stage, r.clients, r.bytes, r.failures))
        members = [list(group) for _, group in kinds]
        return tuple(Run(group[0], group[-1]) for group in members)


@dataclass(frozen=True)
class SentArray:
    """One array of an update: `bytes` is its payload, without the message around it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int


@dataclass(frozen=True)
class Parcel:
    """What one device sends in a round of a stage; a whole message takes up to `message` bytes."""

    stage: str
    arrays: tuple[SentArray, ...]
    message: float

    @property
    def payload(self) -> int:
        """Bytes of all arrays together."""
        return sum(array.bytes for array in self.arrays)


def traffic(transmitted: Sequence[Entry]) -> tuple[Traffic, ...]:
    """Federations in order of appearance; those with the same rounds are one."""
    by_federation: dict[str, list[Entry]] = {}
    for entry in transmitted:
        by_federation.setdefault(visible(entry["federation"]), []).append(entry)
    alike: dict[tuple[Round, ...], list[str]] = {}
    for name, entries in by_federation.items():
        alike.setdefault(_rounds(entries), []).append(name)
    return tuple(Traffic(tuple(names), rounds) for rounds, names in alike.items())


def _rounds(entries: Sequence[Entry]) -> tuple[Round, ...]:
    ordered = sorted(entries, key=lambda entry: int(entry["round"]))
    sums = accumulate(entry["bytes"] for entry in ordered)
    return tuple(
        Round(
            number=entry["round"],
            stage=visible(entry["stage"]),
            clients=entry["clients"],
            bytes=entry["bytes"],
            cumulative=total,
            failures=tuple(visible(reason) for reason in entry["failures"]),
        )
        for entry, total in zip(ordered, sums, strict=True)
    )


def parcels(transmitted: Sequence[Entry]) -> tuple[Parcel, ...]:
    """What a device's update holds, stage by stage, in order of appearance."""
    messages: dict[tuple[str, tuple[SentArray, ...]], float] = {}
    for entry in transmitted:
        key = visible(entry["stage"]), tuple(_array(array) for array in entry["arrays"])
        messages[key] = max(messages.get(key, 0.0), entry["bytes"] / max(entry["clients"], 1))
    return tuple(Parcel(stage, arrays, size) for (stage, arrays), size in messages.items())


def _array(array: Entry) -> SentArray:
    shape = tuple(int(side) for side in array["shape"])
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(array["dtype"]).itemsize
    return SentArray(visible(array["name"]), shape, visible(array["dtype"]), size)
