"""Whatever is said to the device is understood or refused by one sentence."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.daemon.protocol import (
    END_OF_CLIP,
    PIECE_BYTES,
    check_job,
    comes_as_bytes,
    done_event,
    error_event,
    error_of,
    line_of,
    message_of,
    pieces_of,
    size_of,
)
from common.errors import UsageError, WorkError
from tests.client.daemon.fakes import refusal

CONSENT = {"version": 1, "given": "2026-01-01T00:00:00+00:00", "federate": False}
GOOD: list[dict[str, Any]] = [
    {"do": "status"},
    {"do": "stop"},
    {"do": "data-key"},
    {"do": "personalise", "user": "Ada"},
    {"do": "recognise", "name": "a.mp4"},
    {"do": "recognise", "path": "/a.mp4", "name": "a.mp4", "keep": False},
    {"do": "enrol", "user": "Ada", "consent": CONSENT, "names": ["a"]},
    {"do": "enrol", "user": "Ada", "consent": CONSENT, "names": ["a"], "paths": ["/a"]},
    {"do": "open", "folder": "/device", "data_key": "AA=="},
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        "do",
        "path",
        "paths",
        "name",
        "names",
        "keep",
        "user",
        "consent",
        "folder",
        "data_key",
        "bytes",
    ]
)


@pytest.mark.parametrize("job", GOOD)
def test_good_jobs_pass_and_are_complete(job: dict[str, Any]) -> None:
    checked = check_job(message_of(line_of(job)))
    assert checked.items() >= job.items()
    assert check_job(checked) == checked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"do": "dance"}, "expected open, recognise"),
        ({"do": ["recognise"]}, "expected open"),
        ({"path": "here.mp4"}, "a whole path"),
        ({"path": "/a\0b"}, "a whole path"),
        ({"path": 7}, "a whole path"),
        ({"name": ""}, "printable text"),
        ({"name": "a\nb"}, "printable text"),
        ({"name": "x" * 256}, "printable text"),
        ({"name": "\udc80"}, "printable text"),
        ({"keep": 1}, "true or false"),
        ({"more": 1}, "no part of this job"),
    ],
)
def test_a_wrong_job_is_refused_by_one_sentence(change: dict[str, Any], said: str) -> None:
    job = {"do": "recognise", "path": "/a.mp4", "name": "a.mp4", "keep": True, **change}
    with pytest.raises(UsageError, match=said) as told:
        check_job(message_of(line_of(job)))
    assert len(str(told.value)) < 300


@pytest.mark.parametrize(
    "consent",
    [{}, None, {**CONSENT, "version": True}, {**CONSENT, "federate": 1}, {**CONSENT, "x": 1}],
)
def test_consent_is_whole_or_refused(consent: object) -> None:
    with pytest.raises(UsageError, match="consent"):
        check_job({"do": "enrol", "user": "Ada", "consent": consent, "names": ["a"]})


@given(
    st.dictionaries(fields | st.text(max_size=6), json_values, max_size=6), st.sampled_from(GOOD)
)
def test_any_message_is_a_job_or_refused(change: dict[str, Any], job: dict[str, Any]) -> None:
    said = refusal(lambda: check_job({**job, **change}))
    assert len(said) < 600
    if not said:
        checked = check_job({**job, **change})
        assert isinstance(comes_as_bytes(checked), bool)
        json.dumps(checked)


@given(st.binary(max_size=200))
def test_any_line_is_a_message_or_refused(line: bytes) -> None:
    for read in (message_of, size_of):
        assert "\n" not in refusal(partial(read, line))


def test_deeply_nested_lines_are_refused() -> None:
    with pytest.raises(UsageError):
        message_of(b"[" * 200_000)


@given(st.binary(max_size=3000))
def test_pieces_join_to_what_was_sent(data: bytes) -> None:
    stream, joined = b"".join(pieces_of(data)) + END_OF_CLIP, b""
    while stream:
        line, stream = stream[: stream.index(b"\n") + 1], stream[stream.index(b"\n") + 1 :]
        size = size_of(line)
        joined, stream = joined + stream[:size], stream[size:]
    assert joined == data


def test_pieces_are_bounded() -> None:
    pieces = pieces_of(bytes(2 * PIECE_BYTES + 1))
    assert [size_of(piece[: piece.index(b"\n") + 1]) for piece in pieces] == [
        PIECE_BYTES,
        PIECE_BYTES,
        1,
    ]
    for size in (-1, PIECE_BYTES + 1, True, 1.0, "1"):
        with pytest.raises(UsageError):
            size_of(line_of({"bytes": size}))
    with pytest.raises(UsageError, match="the camera is gone"):
        size_of(line_of({"cut": "the camera is gone"}))


@pytest.mark.parametrize("error", [UsageError("wrong"), WorkError("failed")])
def test_errors_arrive_as_they_were(error: UsageError | WorkError) -> None:
    arrived = error_of(message_of(line_of(error_event(error))))
    assert (type(arrived), str(arrived)) == (type(error), str(error))


def test_a_defect_arrives_as_a_failure_with_its_kind() -> None:
    arrived = error_of(error_event(ZeroDivisionError("x" * 5000)))
    assert isinstance(arrived, WorkError)
    assert "ZeroDivisionError" in str(arrived)
    assert len(str(arrived)) <= 2000
    assert done_event({"a": 1}) == {"event": "done", "result": {"a": 1}}
