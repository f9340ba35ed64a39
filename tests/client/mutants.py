"""What a handler could add to its reply: each takes a true reply and plants something in it."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from common.wire import ARRAYS, NPY_KIND, NUMBERS
from tests.client import markers

Mutation = Callable[[RecordDict], RecordDict]


def first_array(content: RecordDict) -> tuple[str, Array]:
    return next(iter(content.array_records[ARRAYS].items()))


def replace_first(content: RecordDict, **changes: object) -> RecordDict:
    """The same reply with something else about its first array."""
    name, old = first_array(content)
    parts = {"dtype": old.dtype, "shape": old.shape, "stype": old.stype, "data": old.data}
    content.array_records[ARRAYS][name] = Array(**{**parts, **changes})  # type: ignore[arg-type]
    return content


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def planted(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.full(shape, markers.NUMBER, dtype=dtype)


def extra_record(content: RecordDict) -> RecordDict:
    content["features"] = ArrayRecord({"frames": Array(planted((3, 2), "<f4"))})
    return content


def extra_array(content: RecordDict) -> RecordDict:
    content.array_records[ARRAYS]["personal.weight"] = Array(
        np.full((8, 5), markers.PERSONAL, dtype=np.float32)
    )
    return content


def renamed_array(content: RecordDict) -> RecordDict:
    name, array = first_array(content)
    del content.array_records[ARRAYS][name]
    content.array_records[ARRAYS][markers.USER] = array
    return content


def extra_number(content: RecordDict) -> RecordDict:
    content.metric_records[NUMBERS]["loss"] = markers.NUMBER
    return content


def named_number(content: RecordDict) -> RecordDict:
    content.metric_records[NUMBERS][markers.CLIP] = 1
    return content


def number_list(content: RecordDict) -> RecordDict:
    content.metric_records[NUMBERS]["num-examples"] = [markers.NUMBER] * 3
    return content


def float_number(content: RecordDict) -> RecordDict:
    content.metric_records[NUMBERS]["num-examples"] = markers.NUMBER
    return content


def extra_config(content: RecordDict) -> RecordDict:
    content["note"] = ConfigRecord({"user": markers.USER, "clips": [markers.CLIP]})
    return content


def other_metrics(content: RecordDict) -> RecordDict:
    content[markers.USER] = MetricRecord({"accuracy": 0.5})
    return content


def longer_header(content: RecordDict) -> RecordDict:
    """A valid .npy file whose header has a remark between its dictionary and its end."""
    data = first_array(content)[1].data
    length = int.from_bytes(data[8:10], "little")
    note = f" {markers.USER} {markers.NUMBER} ".encode()
    header = data[10 : 10 + length].rstrip() + b" " + note + b"\n"
    changed = data[:8] + len(header).to_bytes(2, "little") + header + data[10 + length :]
    return replace_first(content, data=changed)


def leading_bytes(content: RecordDict) -> RecordDict:
    data = first_array(content)[1].data
    return replace_first(content, data=planted((2,), "<f4").tobytes() + data)


def trailing_bytes(content: RecordDict) -> RecordDict:
    data = first_array(content)[1].data
    return replace_first(content, data=data + planted((2,), "<f8").tobytes())


def wrong_dtype(content: RecordDict) -> RecordDict:
    shape = first_array(content)[1].shape
    return replace_first(content, dtype="float64", data=npy(planted(shape, "<f8")))


def hidden_dtype(content: RecordDict) -> RecordDict:
    """Declared as float32, sent as float64."""
    shape = first_array(content)[1].shape
    return replace_first(content, data=npy(planted(shape, "<f8")))


def big_endian(content: RecordDict) -> RecordDict:
    shape = first_array(content)[1].shape
    return replace_first(content, data=npy(planted(shape, ">f4")))


def column_order(content: RecordDict) -> RecordDict:
    """Legal values, but in the order of columns: an encoding of its own."""
    name, old = list(content.array_records[ARRAYS].items())[-1]
    values = np.asfortranarray(planted((8, 5), "<f4"))
    content.array_records[ARRAYS][name] = Array("float32", old.shape, NPY_KIND, npy(values))
    return content


def larger_array(content: RecordDict) -> RecordDict:
    return replace_first(content, shape=(64, 5), data=npy(planted((64, 5), "<f4")))


def not_finite(content: RecordDict) -> RecordDict:
    shape = first_array(content)[1].shape
    values = np.full(int(np.prod(shape)), np.frombuffer(markers.NAN_BYTES, "<u4")[0], "<u4")
    return replace_first(content, data=npy(values.view("<f4").reshape(shape)))


def other_kind(content: RecordDict) -> RecordDict:
    return replace_first(content, stype=f"{NPY_KIND} {markers.USER}")


def other_declaration(content: RecordDict) -> RecordDict:
    return replace_first(content, dtype=f"float32 {markers.CLIP}")


def raw_clips(content: RecordDict) -> RecordDict:
    del content[NUMBERS]
    content[ARRAYS] = ArrayRecord({"frames": Array(planted((9, 5), "<f4"))})
    return content


MUTANTS: tuple[Mutation, ...] = (
    extra_record,
    extra_array,
    renamed_array,
    extra_number,
    named_number,
    number_list,
    float_number,
    extra_config,
    other_metrics,
    longer_header,
    leading_bytes,
    trailing_bytes,
    wrong_dtype,
    hidden_dtype,
    big_endian,
    column_order,
    larger_array,
    not_finite,
    other_kind,
    other_declaration,
    raw_clips,
)
