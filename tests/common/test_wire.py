"""The one accepted form of an update, through Flower's real records and their bytes."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto
from hypothesis import given, settings
from hypothesis import strategies as st

from common.heads.specification import KINDS, STAGES
from common.update import HeadUpdate, NotAnUpdate
from common.wire import (
    ARRAYS,
    NPY_KIND,
    NUMBERS,
    Expected,
    WireArray,
    WireRefused,
    WireReply,
    encode_array,
    public_numbers,
    read_update,
    wire_reply,
)
from tests.common.updates import specification, update_for

HEAD = specification()
EXPECTED = Expected(specification=HEAD, stage="head", round=4)
NAME = "user.weight"

Change = Callable[[bytes], bytes]


def sent(update: HeadUpdate, **extra: Any) -> RecordDict:
    """A reply as a device makes it, with other records beside it."""
    arrays = ArrayRecord()
    for name, value in update.arrays.items():
        arrays[name] = Array("float32", tuple(value.shape), NPY_KIND, encode_array(value))
    numbers = MetricRecord(public_numbers(update))
    return RecordDict({ARRAYS: arrays, NUMBERS: numbers, **extra})


def received(content: RecordDict) -> WireReply:
    """The same reply behind the wire."""
    wire = recorddict_to_proto(content).SerializeToString()
    return wire_reply(recorddict_from_proto(RecordDictProto.FromString(wire)))


def with_array(data: bytes, **declared: Any) -> WireReply:
    """A good reply with the bytes or the declaration of one array replaced."""
    content = sent(update_for(HEAD))
    about: dict[str, Any] = {"dtype": "float32", "shape": (2, 3), "stype": NPY_KIND, **declared}
    content.array_records[ARRAYS][NAME] = Array(data=data, **about)
    return received(content)


def npy(array: npt.NDArray[Any], version: tuple[int, int] = (1, 0)) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    return buffer.getvalue()


def good_array() -> npt.NDArray[np.float32]:
    return np.asarray(update_for(HEAD).arrays[NAME])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
def test_an_update_comes_through_bit_by_bit(kind: str, stage: str) -> None:
    head = specification(kind)
    update = update_for(head, stage)
    found = read_update(received(sent(update)), Expected(specification=head, stage=stage, round=4))
    assert (found.stage, found.round, found.clips) == (stage, 4, 5)
    assert found.specification == head
    assert found.payload == update.payload
    assert list(found.arrays) == list(head.shapes(stage))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_every_finite_value_comes_through(values: list[float]) -> None:
    arrays = dict(update_for(HEAD).arrays)
    arrays[NAME] = np.array(values, np.float32).reshape(2, 3)
    update = HeadUpdate(specification=HEAD, stage="head", round=4, clips=5, arrays=arrays)
    assert read_update(received(sent(update)), EXPECTED).payload == update.payload


def test_numpy_reads_the_accepted_encoding() -> None:
    array = good_array()
    np.testing.assert_array_equal(np.load(io.BytesIO(encode_array(array))), array)
    assert encode_array(np.asfortranarray(array)) == encode_array(array)


def padded_header(data: bytes) -> bytes:
    """The same array behind a header that is 64 spaces longer, as the format allows."""
    length = struct.unpack("<H", data[8:10])[0]
    header = data[10 : 10 + length]
    longer = header[:-1] + b" " * 64 + b"\n"
    return data[:8] + struct.pack("<H", len(longer)) + longer + data[10 + length :]


def hidden_in_header(data: bytes) -> bytes:
    """Padding spaces replaced by a payload."""
    length = struct.unpack("<H", data[8:10])[0]
    header = bytearray(data[10 : 10 + length])
    header[-5:-1] = b"\t\t \t"
    return data[:10] + bytes(header) + data[10 + length :]


TAMPERED: dict[str, Change] = {
    "trailing byte": lambda data: data + b"\0",
    "trailing value": lambda data: data + b"\0\0\0\0",
    "leading byte": lambda data: b"\0" + data,
    "cut short": lambda data: data[:-1],
    "cut to the values": lambda data: data[-24:],
    "cut to half": lambda data: data[-12:],
    "cut within a value": lambda data: data[-13:],
    "one byte": lambda data: data[:1],
    "empty": lambda data: b"",
    "padded header": padded_header,
    "hidden in the header": hidden_in_header,
    "version 2": lambda data: npy(good_array(), (2, 0)),
    "version 3": lambda data: npy(good_array(), (3, 0)),
    "fortran order": lambda data: npy(np.asfortranarray(good_array())),
    "big-endian": lambda data: npy(good_array().astype(">f4")),
    "float64": lambda data: npy(good_array().astype(np.float64)),
    "float16": lambda data: npy(good_array().astype(np.float16)),
    "integers": lambda data: npy(good_array().astype(np.int32)),
    "flat": lambda data: npy(good_array().ravel()),
    "turned": lambda data: npy(good_array().reshape(3, 2)),
    "bare values": lambda data: good_array().tobytes(),
    "zipped": lambda data: b"PK\x03\x04" + data,
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=list(TAMPERED))
def test_any_other_encoding_is_refused(change: Change) -> None:
    data = encode_array(good_array())
    assert change(data) != data
    with pytest.raises(WireRefused, match=f"array {NAME} is"):
        read_update(with_array(change(data)), EXPECTED)


def test_every_single_changed_byte_of_the_header_is_refused() -> None:
    data = encode_array(good_array())
    for position in range(len(data) - 24):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(WireRefused, match="not encoded in the one accepted way"):
            read_update(with_array(bytes(changed)), EXPECTED)


@pytest.mark.parametrize(
    "declared",
    [
        {"dtype": "float64"},
        {"dtype": "<f4"},
        {"dtype": ""},
        {"shape": (3, 2)},
        {"shape": (6,)},
        {"shape": ()},
        {"shape": (2, 3, 1)},
        {"stype": "pickle"},
        {"stype": ""},
    ],
)
def test_an_array_declared_as_something_else_is_refused(declared: dict[str, Any]) -> None:
    reply = with_array(encode_array(good_array()), **declared)
    with pytest.raises(WireRefused, match=f"array {NAME} is declared"):
        read_update(reply, EXPECTED)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    array = good_array().copy()
    array[0, 0] = value
    with pytest.raises(NotAnUpdate, match="not finite"):
        read_update(with_array(encode_array(array)), EXPECTED)


@pytest.mark.parametrize(
    "extra",
    [
        {"more": ConfigRecord({"name": "anna"})},
        {"more": ConfigRecord()},
        {"more": MetricRecord({"loss": 0.5})},
        {"more": ArrayRecord()},
        {ARRAYS: ConfigRecord({"name": "anna"})},
        {NUMBERS: ConfigRecord({"round": 4})},
        {ARRAYS: MetricRecord({"round": 4})},
    ],
)
def test_another_record_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(WireRefused, match=r"1 part\(s\) that no update has"):
        read_update(received(sent(update_for(HEAD), **extra)), EXPECTED)


@pytest.mark.parametrize("gone", [ARRAYS, NUMBERS])
def test_a_missing_record_is_refused(gone: str) -> None:
    content = sent(update_for(HEAD))
    del content[gone]
    with pytest.raises(WireRefused):
        read_update(received(content), EXPECTED)


@pytest.mark.parametrize("gone", [NAME, "population.bias"])
def test_a_missing_array_is_refused(gone: str) -> None:
    content = sent(update_for(HEAD))
    del content.array_records[ARRAYS][gone]
    with pytest.raises(WireRefused, match="not exactly the stage's arrays"):
        read_update(received(content), EXPECTED)


def test_an_extra_array_is_refused_without_its_name() -> None:
    content = sent(update_for(HEAD))
    content.array_records[ARRAYS]["anna@home"] = Array(np.zeros(1, np.float32))
    with pytest.raises(WireRefused, match="not exactly the stage's arrays") as caught:
        read_update(received(content), EXPECTED)
    assert "anna" not in str(caught.value)


def test_arrays_of_the_other_stage_are_refused() -> None:
    with pytest.raises(WireRefused, match="not exactly the stage's arrays"):
        read_update(received(sent(update_for(HEAD, "reference"))), EXPECTED)


BAD_NUMBERS: list[tuple[dict[str, Any], str]] = [
    ({"num-examples": 5.0}, "not an integer"),
    ({"round": 4.0}, "not an integer"),
    ({"specification": float(HEAD.number)}, "not an integer"),
    ({"num-examples": [5]}, "not an integer"),
    ({"num-examples": [1, 2, 3]}, "not an integer"),
    ({"round": 3}, "another round"),
    ({"round": 5}, "another round"),
    ({"specification": HEAD.number + 1}, "another head"),
    ({"specification": specification(dimension=4).number}, "another head"),
    ({"loss": 0.25}, "not the three public ones"),
    ({"seed": 1}, "not the three public ones"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_NUMBERS)
def test_any_other_number_is_refused(change: dict[str, Any], reason: str) -> None:
    content = sent(update_for(HEAD))
    for key, value in change.items():
        content.metric_records[NUMBERS][key] = value
    with pytest.raises(WireRefused, match=reason):
        read_update(received(content), EXPECTED)


@pytest.mark.parametrize("gone", ["num-examples", "round", "specification"])
def test_a_missing_number_is_refused(gone: str) -> None:
    content = sent(update_for(HEAD))
    del content.metric_records[NUMBERS][gone]
    with pytest.raises(WireRefused, match="not the three public ones"):
        read_update(received(content), EXPECTED)


@pytest.mark.parametrize("key", ["num-examples", "round", "specification"])
@pytest.mark.parametrize("value", [True, np.int64(4), "4", None])
def test_a_number_that_flower_would_not_carry_is_refused_too(key: str, value: object) -> None:
    good = received(sent(update_for(HEAD)))
    reply = WireReply(good.arrays, {**good.numbers, key: value}, 0)
    with pytest.raises(WireRefused, match="not an integer"):
        read_update(reply, EXPECTED)


@pytest.mark.parametrize("clips", [0, -1, 10_000_001])
def test_clips_out_of_range_are_refused(clips: int) -> None:
    content = sent(update_for(HEAD))
    content.metric_records[NUMBERS]["num-examples"] = clips
    with pytest.raises(NotAnUpdate, match="number out of range: clips"):
        read_update(received(content), EXPECTED)


def test_an_empty_reply_is_no_update() -> None:
    with pytest.raises(WireRefused):
        read_update(received(RecordDict()), EXPECTED)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_rule(data: bytes) -> None:
    good = received(sent(update_for(HEAD)))
    junk = WireArray("float32", (2, 3), NPY_KIND, data)
    with pytest.raises(WireRefused):
        read_update(WireReply({**good.arrays, NAME: junk}, good.numbers, 0), EXPECTED)


def test_three_public_numbers_and_no_more() -> None:
    assert public_numbers(update_for(HEAD)) == {
        "num-examples": 5,
        "round": 4,
        "specification": HEAD.number,
    }
