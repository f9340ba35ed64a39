"""Routes of clips on their way; see `client.web.recordings`. All JSON, for the page's scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from client.vault.records import CONSENT_VERSION
from client.web.guard import LARGEST_FORM, TOO_LARGE, read_bounded
from client.web.recordings import LARGEST_PIECE, Recording, Recordings
from client.web.words import answer_view, sentence
from common.errors import UsageError

LONGEST_USER: Final = 100
_LONGEST_CLIP_NAME: Final = 200
_KEYS: Final = {
    "recognise": {"do", "name"},
    "enrol": {"do", "name", "user", "agreed", "federate"},
}
_NOT_UNDERSTOOD: Final = "Mien did not understand this request. Please reload the page."


class RecordingRoutes:
    """POST begins a clip, PUT adds a piece, GET waits for a newer answer, DELETE leaves it."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings

    async def begin(self, request: Request) -> Response:
        """Starts the job that is asked for; its id."""
        body = await read_bounded(request, LARGEST_FORM)
        if body is None:
            raise HTTPException(413, TOO_LARGE)
        return JSONResponse({"id": self._recordings.begin(job_of(body))}, status_code=201)

    async def add(self, request: Request) -> Response:
        """Takes piece number `piece`; with `last=1` the clip ends with it."""
        recording = self._found(request)
        number, last = _number(request, "piece"), _number(request, "last")
        piece = await read_bounded(request, LARGEST_PIECE)
        if piece is None:
            raise HTTPException(413, TOO_LARGE)
        await recording.take(number, piece, last=bool(last))
        return JSONResponse({})

    async def newest(self, request: Request) -> Response:
        """What is known after answer number `seen`."""
        recording = self._found(request)
        told = await recording.newer(_number(request, "seen"))
        return JSONResponse(_told(recording, told))

    async def leave(self, request: Request) -> Response:
        """Nothing of the clip is wanted any more."""
        await self._recordings.drop(request.path_params["recording"])
        return JSONResponse({})

    def _found(self, request: Request) -> Recording:
        try:
            return self._recordings.get(request.path_params["recording"])
        except KeyError:
            raise HTTPException(404, "This recording is over. Please record again.") from None


def _told(recording: Recording, told: Mapping[str, Any]) -> dict[str, Any]:
    result, answer = told["result"], told["answer"]
    if result is not None:
        result = answer_view(result) if recording.kind == "recognise" else enrolled(result)
    return {
        **told,
        "answer": None if answer is None else answer_view(answer),
        "result": result,
        "error": sentence(told["error"]),
    }


def enrolled(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of an enrolment."""
    name = str(result.get("user", ""))
    said = f"{name} is enrolled." if result.get("new", True) else f"Mien knows {name} better now."
    warnings = [sentence(str(each)) for each in result.get("warnings", ())]
    return {"user": name, "sentence": " ".join([said, *warnings])}


def job_of(body: bytes) -> dict[str, Any]:
    """The worker's job that a request asks for.

    Raises:
        UsageError: the request is not understood, the name is missing or consent was not given.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError(_NOT_UNDERSTOOD) from None
    if not isinstance(told, dict) or not isinstance(told.get("do"), str):
        raise UsageError(_NOT_UNDERSTOOD)
    if told["do"] not in _KEYS or not set(told) <= _KEYS[told["do"]]:
        raise UsageError(_NOT_UNDERSTOOD)
    name = _clip_name(told.get("name", ""))
    if told["do"] == "recognise":
        return {"do": "recognise", "path": None, "name": name, "keep": True}
    return {
        "do": "enrol",
        "user": _user(told.get("user")),
        "consent": _consent(told),
        "paths": None,
        "names": [name],
    }


def _clip_name(told: object) -> str:
    name = told if isinstance(told, str) else ""
    name = "".join(each for each in name if each.isprintable()).strip()[:_LONGEST_CLIP_NAME]
    return name or f"camera {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"


def _user(told: object) -> str:
    name = told.strip() if isinstance(told, str) else ""
    if not 0 < len(name) <= LONGEST_USER or not name.isprintable():
        raise UsageError(f"Please give a name of 1 to {LONGEST_USER} letters.")
    return name


def _consent(told: Mapping[str, Any]) -> dict[str, Any]:
    if told.get("agreed") is not True:
        raise UsageError("Nobody is enrolled without agreeing to it: please tick the first box.")
    return {
        "version": CONSENT_VERSION,
        "given": datetime.now(UTC).isoformat(timespec="seconds"),
        "federate": told.get("federate") is True,
    }


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise UsageError(_NOT_UNDERSTOOD)
    return int(text)
