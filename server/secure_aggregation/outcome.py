"""What goes in and out of a round's secure sum: answers to a step, and what came of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from common.secure_aggregation.encoding import Ring, Vector
from server.strategies.mean import WeightedMean


@dataclass
class Answers:
    """What came back of one step: payloads by address, who declined, what went wrong."""

    payloads: dict[int, bytes]
    declined: frozenset[int] = frozenset()
    failures: tuple[str, ...] = ()
    bytes: int = 0


class Exchange(Protocol):
    """Whoever carries a step to devices and brings back what they answer."""

    def __call__(self, step: str, payloads: Mapping[int, bytes]) -> Answers:
        """Send each address its payload, and wait."""


@dataclass
class SumRecord:
    """What a server may keep of a sum for an auditor.

    Attributes:
        total: (entries,) the sum, decoded; a weight is its last entry.
        members: addresses of those whose vectors are in it, by number.
        step: distance of two encoded numbers.
        attempt: of the session.
        masked: vectors as they came, by number: of a reference longer than `total`, as two limbs;
            empty of a sum that was gone on with.
    """

    total: Vector
    members: dict[int, int]
    step: float
    attempt: int
    masked: dict[int, Ring]


@dataclass
class Collected:
    """A round's outcome.

    Attributes:
        mean: of the updates, None where there was no sum.
        bytes: of all replies.
        declined: devices that did not want to take part.
        left: members who did not get to the end.
        failures: what went wrong on the way.
        refused: what a device sent that was no step.
        noise: multiplier that the accountant may count on, 0 without noise.
        record: for an auditor.
    """

    mean: WeightedMean | None = None
    bytes: int = 0
    declined: int = 0
    left: int = 0
    failures: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    noise: float = 0.0
    record: SumRecord | None = None
