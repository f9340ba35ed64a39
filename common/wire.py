"""The one form in which an update travels, read strictly on both sides.

A reply is `{"arrays": ArrayRecord, "metrics": MetricRecord}`: the stage's arrays and three public
numbers. The functions look at a reply's parts without importing Flower (`content` is its
RecordDict), so that device and server read by the same rules.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from common.errors import WorkError
from common.heads.specification import DTYPE, HeadSpecification
from common.update import HeadUpdate

ARRAYS: Final = "arrays"
NUMBERS: Final = "metrics"
SUM: Final = "sum"
PAYLOAD: Final = "payload"
NPY_KIND: Final = "numpy.ndarray"
PUBLIC_NUMBERS: Final = ("num-examples", "round", "specification")


class WireRefused(WorkError):
    """A reply is not an update. The text names a rule, never what was in the reply."""


@dataclass(frozen=True)
class WireArray:
    """An array as it stands in a serialised reply: what it is declared as, and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    kind: str
    data: bytes


@dataclass(frozen=True)
class WireReply:
    """A reply read back from its bytes: arrays and numbers by name, and the other parts' count.

    `step` is the record of a secure sum's step; it is among the other parts, too.
    """

    arrays: Mapping[str, WireArray]
    numbers: Mapping[str, object]
    other_parts: int
    step: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the device agreed to send in this round; anything else is refused."""

    specification: HeadSpecification
    stage: str
    round: int


def encode_array(array: npt.NDArray[np.float32]) -> bytes:
    """The one accepted encoding of an array: NumPy's .npy format 1.0, C order, little-endian."""
    buffer = io.BytesIO()
    plain = np.ascontiguousarray(array, dtype="<f4")
    np.lib.format.write_array(buffer, plain, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def public_numbers(update: HeadUpdate) -> dict[str, int | float | list[int] | list[float]]:
    """The numbers that travel beside the arrays."""
    return {
        "num-examples": update.clips,
        "round": update.round,
        "specification": update.specification.number,
    }


def read_update(reply: WireReply, expected: Expected) -> HeadUpdate:
    """Build the update that a reply's bytes hold, or refuse.

    Raises:
        WireRefused: a part, name, encoding or number that is not the expected update's.
        NotAnUpdate: the arrays are not the stage's arrays, or not finite.
    """
    if reply.other_parts:
        raise WireRefused(f"the reply has {reply.other_parts} part(s) that no update has")
    numbers = reply.numbers
    if set(numbers) != set(PUBLIC_NUMBERS):
        raise WireRefused("the reply's numbers are not the three public ones")
    clips = numbers["num-examples"]
    if type(clips) is not int or any(type(value) is not int for value in numbers.values()):
        raise WireRefused("a public number is not an integer")
    if numbers["round"] != expected.round:
        raise WireRefused("the reply is for another round")
    if numbers["specification"] != expected.specification.number:
        raise WireRefused("the reply is for another head")
    shapes = expected.specification.shapes(expected.stage)
    if set(reply.arrays) != set(shapes):
        raise WireRefused("the reply's arrays are not exactly the stage's arrays")
    arrays = {name: _decode(name, reply.arrays[name], shapes[name]) for name in shapes}
    return HeadUpdate(
        specification=expected.specification,
        stage=expected.stage,
        round=expected.round,
        clips=clips,
        arrays=arrays,
    )


def read_step(reply: WireReply) -> bytes | None:
    """The payload of a secure sum's step; None for an empty reply.

    Raises:
        WireRefused: anything else is in it.
    """
    if not reply.arrays and not reply.numbers and not reply.other_parts:
        return None
    step = reply.step
    if reply.arrays or reply.numbers or reply.other_parts != 1 or step is None:
        raise WireRefused("the reply has parts that no step of a secure sum has")
    payload = step.get(PAYLOAD)
    if set(step) != {PAYLOAD} or type(payload) is not bytes:
        raise WireRefused("the reply's step is not one payload of bytes")
    return payload


def _decode(name: str, wire: WireArray, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if wire.dtype != DTYPE or wire.shape != shape or wire.kind != NPY_KIND:
        raise WireRefused(f"array {name} is declared as something else than the specification says")
    count = int(np.prod(shape))
    if len(wire.data) < 4 * count:
        raise WireRefused(f"array {name} is cut short")
    values = np.frombuffer(wire.data, dtype="<f4", offset=len(wire.data) - 4 * count)
    array: npt.NDArray[np.float32] = values.reshape(shape).astype(np.float32)
    if encode_array(array) != wire.data:
        raise WireRefused(f"array {name} is not encoded in the one accepted way")
    return array


def wire_reply(content: Any) -> WireReply:
    """The parts of a reply's RecordDict, as plain values; an array keeps its raw bytes."""
    arrays: dict[str, WireArray] = {}
    numbers: dict[str, object] = {}
    other = len(content) - (ARRAYS in content.array_records) - (NUMBERS in content.metric_records)
    for name, array in content.array_records.get(ARRAYS, {}).items():
        arrays[name] = WireArray(array.dtype, tuple(array.shape), array.stype, array.data)
    numbers |= dict(content.metric_records.get(NUMBERS, {}))
    step = content.config_records.get(SUM)
    return WireReply(arrays, numbers, other, None if step is None else dict(step))
