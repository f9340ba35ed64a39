"""What daemon, workers, commands and page say to each other: JSON lines, clips as counted bytes.

A job is one line. Where its clip is not named by a path it follows: a line {"bytes": n}, then n
bytes, again and again; {"bytes": 0} ends it and {"cut": reason} says that the rest won't come. The
answer is any number of lines {"event": "answer", "answer": {...}}, then one line
{"event": "done", "result": {...}} or {"event": "error", "text": ..., "exit_code": ...}.
Everything has a limit, and whatever is beyond it or is not understood is refused by one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from common.errors import MienError, UsageError, WorkError

JOB_BYTES: Final = 256 * 1024
"""Longest line of a job; an enrolment may name many paths."""
EVENT_BYTES: Final = 16 * 1024 * 1024
"""Longest line of an event; an answer holds a moment per frame, some 250 bytes each."""
PIECE_BYTES: Final = 1024 * 1024
CLIP_BYTES: Final = 1024 * 1024 * 1024
PIECE_SECONDS: Final = 20.0
"""Longest wait for a recording's next piece: its camera is gone, or its page."""
LONGEST_NAME: Final = 255
MOST_PATHS: Final = 1000

WORK: Final = ("recognise", "enrol", "personalise")
QUESTIONS: Final = ("status", "data-key", "stop")

Job = dict[str, Any]
Event = dict[str, Any]
_Check = Callable[[object], bool]


def line_of(message: Mapping[str, Any]) -> bytes:
    """One line of JSON, its end included."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def message_of(line: bytes) -> dict[str, Any]:
    """Read a line.

    Raises:
        UsageError: it is not one JSON object.
    """
    try:
        message = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError("a message to the device is not a line of JSON") from error
    if not isinstance(message, dict):
        raise UsageError("a message to the device is not a JSON object")
    return message


def pieces_of(data: bytes) -> list[bytes]:
    """A part of a clip as it goes over the wire, in pieces of at most `PIECE_BYTES`."""
    parts = [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]
    return [line_of({"bytes": len(part)}) + part for part in parts]


END_OF_CLIP: Final = line_of({"bytes": 0})


def size_of(line: bytes) -> int:
    """Bytes that follow a line of a clip; 0 at its end.

    Raises:
        UsageError: the clip was cut off, or the line is not of a clip.
    """
    message = message_of(line)
    if isinstance(message.get("cut"), str):
        raise UsageError(message["cut"])
    size = message.get("bytes")
    if type(size) is not int or not 0 <= size <= PIECE_BYTES or len(message) != 1:
        raise UsageError(f'expected a piece of a clip, {{"bytes": 0 to {PIECE_BYTES}}}')
    return size


def done_event(result: Mapping[str, Any]) -> Event:
    """The last event of a job that was done."""
    return {"event": "done", "result": dict(result)}


def error_event(error: BaseException) -> Event:
    """The last event of a job that was not done; a defect's text says what kind it is."""
    if isinstance(error, MienError):
        return {"event": "error", "text": str(error), "exit_code": error.exit_code}
    text = f"unexpected {type(error).__name__}: {error}"
    return {"event": "error", "text": text[:2000], "exit_code": 1}


def error_of(event: Mapping[str, Any]) -> MienError:
    """The error that an event tells of."""
    text = str(event.get("text", "the device gave no reason"))
    wrong_use = event.get("exit_code") == UsageError.exit_code
    return UsageError(text) if wrong_use else WorkError(text)


def check_job(message: Mapping[str, Any]) -> Job:
    """A job with all its fields, checked.

    Raises:
        UsageError: it asks for nothing known, or a field is missing, unknown or of a wrong kind.
    """
    kind = message.get("do")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise UsageError(f"the device was asked to do {kind!r:.40}, expected {', '.join(_FIELDS)}")
    job = {**_DEFAULTS.get(str(kind), {}), **message}
    unknown = sorted(set(job) - set(fields) - {"do"})
    if unknown:
        raise UsageError(f"{kind}: {unknown[0]!r:.40} is no part of this job")
    for name, (good, expected) in fields.items():
        if name not in job:
            raise UsageError(f"{kind}: {name} is missing")
        if not good(job[name]):
            raise UsageError(f"{kind}: {name} is {job[name]!r:.80}, expected {expected}")
    return job


def comes_as_bytes(job: Mapping[str, Any]) -> bool:
    """Whether the job's clip follows it as bytes."""
    if job["do"] == "recognise":
        return job["path"] is None
    return bool(job["do"] == "enrol" and job["paths"] is None)


def _is_name(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    return value.isprintable() and bool(value.strip())


def _is_path(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value or len(value) > 4096:
        return False
    return Path(value).is_absolute()


def _is_path_or_none(value: object) -> bool:
    return value is None or _is_path(value)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= MOST_PATHS and all(map(_is_name, value))


def _are_paths_or_none(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and 0 < len(value) <= MOST_PATHS and all(map(_is_path, value))


def _is_consent(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"version", "given", "federate"}:
        return False
    given = value["given"]
    in_range = type(value["version"]) is int and 0 < value["version"] < 1_000_000
    return in_range and isinstance(given, str) and len(given) < 100 and _is_bool(value["federate"])


def _is_bool(value: object) -> bool:
    return type(value) is bool


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_NAME: Final = (_is_name, f"printable text of 1 to {LONGEST_NAME} characters")
_PATHS: Final = f"a list of 1 to {MOST_PATHS} whole paths, or null where the clip follows"
_FIELDS: Final[dict[str, dict[str, tuple[_Check, str]]]] = {
    "open": {
        "folder": (_is_path, "a whole path"),
        "data_key": (_is_text, "base64"),
        "backbone": (_is_text, "text"),
        "identity": (_is_text, "text"),
    },
    "recognise": {
        "path": (_is_path_or_none, "a whole path, or null where the clip follows"),
        "name": _NAME,
        "keep": (_is_bool, "true or false"),
    },
    "enrol": {
        "user": _NAME,
        "consent": (_is_consent, "version, given and federate"),
        "paths": (_are_paths_or_none, _PATHS),
        "names": (_are_names, "a list of names, one for each clip"),
    },
    "personalise": {"user": _NAME},
    "status": {},
    "data-key": {},
    "stop": {},
}
_DEFAULTS: Final[dict[str, Job]] = {
    "open": {"backbone": "", "identity": ""},
    "recognise": {"path": None, "keep": True},
    "enrol": {"paths": None},
}
