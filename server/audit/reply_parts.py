"""What lies in a recorded reply: updates, a secure sum's sealed entries, and all that is neither.

Only a few entries may be closed to the auditor, each by its record, its name and its kind: a secure
sum's payload, and what Flower's own SecAgg+ calls keys, ciphertexts, shares and masked parameters.
What is in them is for A10 to judge, by the vectors that the server recorded.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from common.heads.specification import DTYPE
from common.wire import ARRAYS, NPY_KIND, NUMBERS, PAYLOAD, SUM, Expected, encode_array
from server.audit.transcript import Vector

STOCK: Final = "secaggplus_configs"
"""Flower's `RECORD_KEY_CONFIGS`; a test holds it and the names against the installed ones."""
PUBLIC_KEYS: Final = ("pk1", "pk2")
SEALED: Final = {
    (SUM, PAYLOAD): False,
    **dict.fromkeys(((STOCK, name) for name in PUBLIC_KEYS), False),
    **dict.fromkeys(((STOCK, name) for name in ("ctxts", "masked_params", "shares")), True),
}
"""Whether it is a list of bytes, by record and name."""
ADDRESSES: Final = ((STOCK, "dsts"), (STOCK, "nids"))
HARMLESS: Final = ("round", "specification")
"""Numbers of an update that say only what the server said to all devices."""


@dataclass
class Parts:
    """A reply's entries.

    Attributes:
        arrays: values by name, whatever names they have; of no entries where they can't be read.
        numbers: all else that is in clear, by name.
        sealed: names of a secure sum's keys, shares, payloads.
        odd: where a name that an update has stands in another place or form than an update's.
    """

    arrays: dict[str, Vector] = field(default_factory=dict)
    numbers: dict[str, object] = field(default_factory=dict)
    sealed: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)


def parts_of(content: Any, expected: Expected, *, sums: bool, nodes: Collection[int]) -> Parts:
    """Take a reply's content apart.

    Args:
        content: a RecordDict of Flower's.
        expected: what the server had asked for.
        sums: whether a secure sum was under way, so that some entries may be sealed.
        nodes: Flower's ids of the run's devices, which may be told as addresses.
    """
    found = Parts()
    for record, arrays in content.array_records.items():
        for name, array in arrays.items():
            found.arrays[_free(name, record, found.arrays)] = values(array)
            found.odd += _odd_array(record, name, array, expected)
    for record, entries in (*content.metric_records.items(), *content.config_records.items()):
        for name, value in entries.items():
            if sums and _is_sealed(record, name, value):
                found.sealed.add(name)
            elif not (sums and _is_addresses(record, name, value, nodes)):
                found.numbers[_free(name, record, found.numbers)] = value
                found.odd += _odd_number(record, name, value, expected)
    found.odd += _bare_records(content)
    return found


def values(array: Any) -> Vector:
    """The numbers of a float32 array as its record declares it; none if it is anything else."""
    size = 4 * math.prod(array.shape)
    if array.dtype != DTYPE or min(array.shape, default=0) < 0 or size > len(array.data):
        return np.zeros(0)
    found = np.frombuffer(array.data, dtype="<f4", offset=len(array.data) - size)
    return found.reshape(array.shape).astype(np.float64)


def _free(name: str, record: str, taken: Collection[str]) -> str:
    """A name that hides no entry of the same name in another record."""
    return name if name not in taken else f"{record}/{name}"


def _is_sealed(record: str, name: str, value: object) -> bool:
    listed = SEALED.get((record, name))
    if listed is None:
        return False
    several = value if listed and isinstance(value, list) else [value]
    return all(type(each) is bytes for each in several)


def _is_addresses(record: str, name: str, value: object, nodes: Collection[int]) -> bool:
    """Whether these are devices of the run, each once: any other numbers could say anything."""
    if (record, name) not in ADDRESSES or not isinstance(value, list):
        return False
    return set(value) <= set(nodes) and len(set(value)) == len(value)


def _odd_array(record: str, name: str, array: Any, expected: Expected) -> Iterator[str]:
    shape = expected.specification.shapes(expected.stage).get(name)
    if shape is None:
        return  # its name alone says that no update has it
    read = values(array).astype(np.float32)
    right = (
        (array.dtype, tuple(array.shape), array.stype) == (DTYPE, shape, NPY_KIND)
        and read.shape == shape
        and encode_array(read) == array.data
    )
    if record != ARRAYS or not right:
        yield f"array {name!r} in another form than an update's"


def _odd_number(record: str, name: str, value: object, expected: Expected) -> Iterator[str]:
    if name not in HARMLESS:
        return
    right = {"round": expected.round, "specification": expected.specification.number}[name]
    if record != NUMBERS or type(value) is not int or value != right:
        yield f"number {name!r} in another form than an update's"


def _bare_records(content: Any) -> Iterator[str]:
    """A record without entries says something by its name alone."""
    for name, record in content.items():
        if not record and name not in (ARRAYS, NUMBERS):
            yield f"empty record {name!r}"
