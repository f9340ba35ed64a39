"""A round's replies, each accepted or refused with a named reason, before any is averaged.

In this order: size, round, form (`common.wire`), finite values, number of clips, one update per
device, not an old one; then, over all that are left, their Euclidean norms against the round's
median, and their weights, which are cut to a multiple of the median number of clips. Fewer than
half of the devices can't lift these medians beyond what honest devices send. The reasons name rules
and never repeat what was in a reply.

Where noise is put on the updates' sum afterwards, what one device sends must decide on nothing but
its own term of that sum: then each reply is judged by itself alone (`Question.norm`), by rules that
no device breaks that shortens its update as it was told to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import numpy as np

from common.errors import UsageError
from common.heads.specification import HeadSpecification
from common.privacy.clipping import norm_of
from common.secure_aggregation.rounds import MOST_WEIGHT
from common.update import MAX_CLIPS, Fault, HeadUpdate, NotAnUpdate
from common.wire import Expected, WireRefused, WireReply, read_update
from server.defence.seen import Seen
from server.norms import norm

_OVERHEAD: Final = 4096
_OVERHEAD_PER_ARRAY: Final = 512
_ROUNDING: Final = 1.0 + 1e-9
"""Other processors add up squares in another order."""


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
    """What was asked of all devices.

    Attributes:
        expected: the update that should come.
        head: digest of the head sent.
        norm: that devices shortened their updates to, where noise is put on their sum afterwards;
            0 elsewhere.
    """

    expected: Expected
    head: str
    norm: float = 0.0


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
        clips: that a device may say it trained on; with more it is refused.
        weight: clips that a device counts as in an average, at the most: as in a secure sum.
        weight_factor: the same, times the median clips of the round's updates, at least 1.
        norm_factor: times the median norm of the round's updates, at least 1. The same for clips
            times norm, how far an update pulls the average: a device beyond it counts as fewer.
        norm_floor: a norm that is never too long, 0 or more: where most devices have come to rest,
            a new one's honest update is many times as long as theirs.
        norm_at_rest: the bound where the median norm is 0 and there is nothing to compare with,
            above 0: longer than an honest first update, in standardised features.
        fewest: updates from which on there are such medians, at least 3; with fewer, norms and
            weights are not compared.
    """

    bytes: int = 0
    clips: int = 100_000
    weight: int = MOST_WEIGHT
    weight_factor: float = 3.0
    norm_factor: float = 10.0
    norm_floor: float = 0.0
    norm_at_rest: float = 10.0
    fewest: int = 3

    def __post_init__(self) -> None:
        counts = self.bytes, self.clips, self.weight, self.fewest
        lowest = 0, 1, 1, 3
        whole = all(type(n) is int and n >= low for n, low in zip(counts, lowest, strict=True))
        if not whole or max(self.clips, self.weight) > MAX_CLIPS:
            raise UsageError(
                f"limits on bytes, clips, weight and updates are {counts}, expected whole numbers "
                f"of at least {lowest}, clips and weight at most {MAX_CLIPS}"
            )
        factors = self.weight_factor, self.norm_factor
        norms = self.norm_floor, self.norm_at_rest
        good = all(map(math.isfinite, (*factors, *norms))) and min(factors) >= 1
        if not good or norms[0] < 0 or norms[1] <= 0:
            raise UsageError(
                f"weight and norm factor are {factors}, expected at least 1; norm floor and norm "
                f"at rest are {norms}, expected 0 or more and above 0"
            )


@dataclass(frozen=True)
class Examined:
    """A round's outcome.

    Attributes:
        accepted: one update per device, in the order of arrival, with the clips it counts as.
        refused: everything else but exact repetitions.
        repeated: number of replies that repeated an accepted one byte by byte, and were dropped.
        seen: the memory with the accepted updates.
        capped: devices that count as fewer clips than they say.
    """

    accepted: tuple[tuple[str, HeadUpdate], ...]
    refused: tuple[Refused, ...]
    repeated: int
    seen: Seen
    capped: tuple[str, ...] = ()

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
    if question.norm:
        return Examined(tuple(read.items()), tuple(refused), repeated, seen)
    long = _too_long(read, limits)
    kept = {device: update for device, update in read.items() if device not in long}
    accepted, capped = _weighed(kept, limits)
    after = seen.after(kept.values(), question.head)
    return Examined(accepted, (*refused, *long.values()), repeated, after, capped)


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
    if question.norm:
        long = norm_of(update.arrays) > question.norm * _ROUNDING
        detail = "longer than the clip norm"
        return Refused(device, Refusal.NORM, detail) if long else update
    if seen.is_old(update, question.head):
        return Refused(device, Refusal.OLD, "the same update was accepted for another head")
    return update


def _too_long(read: dict[str, HeadUpdate], limits: Limits) -> dict[str, Refused]:
    """The updates whose norm exceeds the bound, by device."""
    norms = {device: norm(update) for device, update in read.items()}
    if len(norms) < limits.fewest:
        return {}
    median = float(np.median(list(norms.values())))
    bound = max(limits.norm_factor * median or limits.norm_at_rest, limits.norm_floor)
    return {
        device: Refused(
            device,
            Refusal.NORM,
            f"{length / median:.3g} times the median norm" if median else "most devices rest",
        )
        for device, length in norms.items()
        if length > bound
    }


def _weighed(
    kept: Mapping[str, HeadUpdate], limits: Limits
) -> tuple[tuple[tuple[str, HeadUpdate], ...], tuple[str, ...]]:
    """The updates with the clips that they count as, and the devices whose clips were cut."""
    weights = _weights(kept, limits)
    accepted = tuple((name, replace(kept[name], clips=weight)) for name, weight in weights.items())
    return accepted, tuple(name for name in kept if kept[name].clips > weights[name])


def _weights(kept: Mapping[str, HeadUpdate], limits: Limits) -> dict[str, int]:
    """Clips as which each device counts: few enough by themselves, and times the update's norm."""
    most = limits.weight
    if len(kept) < limits.fewest:
        return {name: min(update.clips, most) for name, update in kept.items()}
    median = float(np.median([update.clips for update in kept.values()]))
    most = min(most, int(limits.weight_factor * median))
    weights = {name: min(update.clips, most) for name, update in kept.items()}
    norms = {name: norm(update) for name, update in kept.items()}
    pull = limits.norm_factor * float(np.median([weights[name] * norms[name] for name in kept]))
    return {
        name: max(1, int(pull / norms[name])) if pull and weight * norms[name] > pull else weight
        for name, weight in weights.items()
    }


def _same(one: HeadUpdate, other: HeadUpdate) -> bool:
    return (one.sha256, one.clips) == (other.sha256, other.clips)
