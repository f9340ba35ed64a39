"""A round's replies, each accepted or refused with a named reason, before any is averaged.

In this order: size, round, form (`common.wire`), finite values, number of clips, one update per
device, not an old one; then, over all that are left, their Euclidean norms against the round's
median. Fewer than half of the devices can't lift that median beyond what honest devices send. The
reasons name rules and never repeat what was in a reply.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from common.errors import UsageError
from common.heads.specification import HeadSpecification
from common.update import MAX_CLIPS, Fault, HeadUpdate, NotAnUpdate
from common.wire import Expected, WireRefused, WireReply, read_update
from server.defence.seen import Seen
from server.norms import norm

_OVERHEAD: Final = 4096
_OVERHEAD_PER_ARRAY: Final = 512


class Refusal(StrEnum):
    """Why a reply is not averaged."""

    OVERSIZE = "too many bytes"
    ROUND = "of another round"
    FORM = "not in an update's form"
    NOT_FINITE = "not finite"
    CLIPS = "too many clips"
    SECOND = "a second, different update in one round"
    OLD = "an update of an earlier head"
    NORM = "too long an update"


@dataclass(frozen=True)
class Arrival:
    """A reply as it came: the device's name or node, its parts, its size on the wire in bytes."""

    device: str
    reply: WireReply = field(repr=False)
    bytes: int


@dataclass(frozen=True)
class Question:
    """What was asked of all devices: the expected update, and the digest of the head sent."""

    expected: Expected
    head: str


@dataclass(frozen=True)
class Refused:
    """A device, the reason, and a sentence's part for the operator."""

    device: str
    refusal: Refusal
    detail: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an update may be at the most.

    Attributes:
        bytes: of one reply; 0 for what the head's specification needs, with room for the form.
        clips: that a device may say it trained on, its weight in an average.
        norm_factor: times the median norm of the round's updates, at least 1.
        norm_floor: a norm that is never too long, 0 or more: where most devices have come to rest,
            a new one's honest update is many times as long as theirs.
        fewest: updates from which on there is such a median, at least 3; with fewer, norms are
            not compared.
    """

    bytes: int = 0
    clips: int = 100_000
    norm_factor: float = 10.0
    norm_floor: float = 0.0
    fewest: int = 3

    def __post_init__(self) -> None:
        whole = all(type(value) is int for value in (self.bytes, self.clips, self.fewest))
        if not whole or self.bytes < 0 or not 1 <= self.clips <= MAX_CLIPS or self.fewest < 3:
            raise UsageError(
                f"limits are {self.bytes!r} bytes, {self.clips!r} clips, {self.fewest!r} updates; "
                f"expected 0 or more, 1 to {MAX_CLIPS}, and at least 3"
            )
        norms = self.norm_factor, self.norm_floor
        if not (all(map(math.isfinite, norms)) and norms[0] >= 1 and norms[1] >= 0):
            raise UsageError(
                f"norm factor and floor are {norms}, expected at least 1, and 0 or more"
            )


@dataclass(frozen=True)
class Examined:
    """A round's outcome.

    Attributes:
        accepted: one update per device, in the order of arrival.
        refused: everything else but exact repetitions.
        repeated: number of replies that repeated an accepted one byte by byte, and were dropped.
        seen: the memory with the accepted updates.
    """

    accepted: tuple[tuple[str, HeadUpdate], ...]
    refused: tuple[Refused, ...]
    repeated: int
    seen: Seen

    @property
    def outcomes(self) -> dict[str, str | None]:
        """A reason by device, None for those whose update counts; for `Quarantine.note`."""
        reasons: dict[str, str | None] = {device: None for device, _ in self.accepted}
        return reasons | {refused.device: str(refused.refusal) for refused in self.refused}


def examine(
    arrivals: Sequence[Arrival], question: Question, seen: Seen, limits: Limits
) -> Examined:
    """Accept or refuse each reply of a round; changes nothing that is handed over."""
    read: dict[str, HeadUpdate] = {}
    refused: list[Refused] = []
    repeated = 0
    for arrival in arrivals:
        found = _read(arrival, question, seen, limits)
        if isinstance(found, Refused):
            refused.append(found)
        elif arrival.device not in read:
            read[arrival.device] = found
        elif _same(read[arrival.device], found):
            repeated += 1
        else:
            refused.append(
                Refused(
                    arrival.device, Refusal.SECOND, "the first to arrive is the one that counts"
                )
            )
    long = _too_long(read, limits)
    accepted = tuple((device, update) for device, update in read.items() if device not in long)
    after = seen.after((update for _, update in accepted), question.head)
    return Examined(accepted, (*refused, *long.values()), repeated, after)


def largest_reply(specification: HeadSpecification, stage: str) -> int:
    """Bytes that an honest reply can't exceed: four per value, and room for names and form."""
    shapes = specification.shapes(stage).values()
    values = sum(math.prod(shape) for shape in shapes)
    return 4 * values + _OVERHEAD_PER_ARRAY * len(shapes) + _OVERHEAD


def _read(arrival: Arrival, question: Question, seen: Seen, limits: Limits) -> HeadUpdate | Refused:
    """A reply by itself."""
    expected, device = question.expected, arrival.device
    most = limits.bytes or largest_reply(expected.specification, expected.stage)
    if arrival.bytes > most:
        return Refused(device, Refusal.OVERSIZE, f"{arrival.bytes} bytes, at most {most} may be")
    told = arrival.reply.numbers.get("round")
    if type(told) is int and told != expected.round:
        return Refused(device, Refusal.ROUND, f"the round is {expected.round}")
    try:
        update = read_update(arrival.reply, expected)
    except NotAnUpdate as error:
        bad = any(problem.fault is Fault.NOT_FINITE for problem in error.problems)
        return Refused(device, Refusal.NOT_FINITE if bad else Refusal.FORM, str(error))
    except WireRefused as error:
        return Refused(device, Refusal.FORM, str(error))
    if update.clips > limits.clips:
        return Refused(device, Refusal.CLIPS, f"at most {limits.clips} may be")
    if seen.is_old(update, question.head):
        return Refused(device, Refusal.OLD, "the same update was accepted for another head")
    return update


def _too_long(read: dict[str, HeadUpdate], limits: Limits) -> dict[str, Refused]:
    """The updates whose norm exceeds the bound, by device."""
    norms = {device: norm(update) for device, update in read.items()}
    if len(norms) < limits.fewest:
        return {}
    median = float(np.median(list(norms.values())))
    bound = max(limits.norm_factor * median, limits.norm_floor)
    if not median:  # most devices stand still: nothing to compare with
        return {}
    return {
        device: Refused(device, Refusal.NORM, f"{length / median:.3g} times the median norm")
        for device, length in norms.items()
        if length > bound
    }


def _same(one: HeadUpdate, other: HeadUpdate) -> bool:
    return (one.sha256, one.clips) == (other.sha256, other.clips)
