"""Replies as they come in, made of updates."""

from __future__ import annotations

from dataclasses import replace

from common.heads.specification import HEAD_STAGE, HeadSpecification
from common.update import HeadUpdate
from common.wire import NPY_KIND, Expected, WireArray, WireReply, encode_array, public_numbers
from server.defence import Arrival, Question
from tests.server.fakes import SPECIFICATION, update


def question(
    round: int = 1, head: str = "", specification: HeadSpecification = SPECIFICATION
) -> Question:
    expected = Expected(specification=specification, stage=HEAD_STAGE, round=round)
    return Question(expected, head or f"head {round}")


def wire(sent: HeadUpdate) -> WireReply:
    arrays = {
        name: WireArray("float32", array.shape, NPY_KIND, encode_array(array))
        for name, array in sent.arrays.items()
    }
    return WireReply(arrays, public_numbers(sent), 0)


def arrival(device: str, value: float, *, round: int = 1, clips: int = 1) -> Arrival:
    """A device that sends `value` in all eight entries but the reference."""
    return of_update(device, update(value, round=round, clips=clips))


def of_update(device: str, sent: HeadUpdate) -> Arrival:
    reply = wire(sent)
    return Arrival(device, reply, sum(len(array.data) for array in reply.arrays.values()))


def with_numbers(given: Arrival, **numbers: object) -> Arrival:
    names = {"clips": "num-examples"}
    told = {names.get(name, name): value for name, value in numbers.items()}
    reply = replace(given.reply, numbers={**given.reply.numbers, **told})
    return replace(given, reply=reply)
