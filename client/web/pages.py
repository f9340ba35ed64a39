"""The page's views and what their forms do. Each works without a script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from client.device.device import Device
from client.device.texts import CONSENT_TEXT, FIRST_START
from client.web.avatars import AvatarDesk
from client.web.recording_routes import LONGEST_USER
from client.web.recordings import Jobs
from client.web.templates import Templates
from client.web.views import (
    about_facts,
    clip_view,
    ledger_view,
    person_view,
    personalised,
    refusals_view,
)
from common.errors import UsageError
from common.expressions import EXPRESSIONS

MOST_CLIPS: Final = 100
_ID: Final = re.compile("[0-9a-f]{32}")
_SAID: Final = {
    "erased": "Erased. Nothing of this clip is left on this device.",
    "forgotten": "Done. Everything about this person is gone from this device.",
    "joined": "Thank you. What the corrections teach may now be shared, without pictures or names.",
    "left": "Noted. From now on nothing more is shared of this person.",
    "paused": "Paused. Nothing leaves this device until you go on.",
    "resumed": "Taking part goes on.",
    "taken-back": "Taken back. The clip waits for your word again.",
}


class Pages:
    """Handlers of the pages and forms; everything private comes from `device`."""

    def __init__(
        self, device: Device, jobs: Jobs, templates: Templates, avatars: AvatarDesk
    ) -> None:
        self._device = device
        self._jobs = jobs
        self._templates = templates
        self._avatars = avatars

    def _page(self, request: Request, name: str, page: str, **words: Any) -> Response:
        said = _SAID.get(request.query_params.get("said", ""), "")
        return self._templates.page(name, page, said=words.pop("said", said), **words)

    async def _people(self) -> list[dict[str, Any]]:
        return [person_view(each) for each in await run_in_threadpool(self._device.users)]

    async def start(self, request: Request) -> Response:
        """The first time an explanation, later Live."""
        if await self._people():
            return _to("/live")
        return await self.welcome(request)

    async def welcome(self, request: Request) -> Response:
        """What is stored, what leaves, what can't be called back."""
        return self._page(request, "welcome.html", "welcome", text=FIRST_START)

    async def live(self, request: Request) -> Response:
        """Camera, answer, correction."""
        avatars = await run_in_threadpool(self._avatars.names)
        return self._page(request, "live.html", "live", script="live.js", avatars=avatars)

    async def inbox(self, request: Request) -> Response:
        """Clips that wait for the user's word, then the others."""
        people = await self._people()
        chosen = request.query_params.get("user", "")
        named = {each["key"]: each["name"] for each in people}
        if chosen and chosen not in named:
            raise UsageError("Nobody here is known by that; please choose a name from the list.")
        rows = await run_in_threadpool(self._device.inbox, user=named.get(chosen), limit=MOST_CLIPS)
        clips = [clip_view(each) for each in rows]
        return self._page(
            request,
            "inbox.html",
            "inbox",
            script="inbox.js",
            people=people,
            chosen=chosen,
            clips=clips,
            waiting=sum(not each["label"] for each in clips),
            groups=[
                ("Waiting for your word", [each for each in clips if not each["label"]]),
                ("With your word", [each for each in clips if each["label"]]),
            ],
            due=[each for each in people if each["due"]],
            marked=await self._marked(request.query_params.get("marked", "")),
        )

    async def _marked(self, clip: str) -> dict[str, str] | None:
        """The clip whose label was just given, for the way back."""
        found = await self._clip(clip)
        view = None if found is None else clip_view(found)
        if view is None or not view["label"]:
            return None
        return {"id": view["id"], "sentence": f"Noted as {view['label']}: {view['name']}."}

    async def label(self, request: Request) -> Response:
        """Confirms or corrects a clip."""
        expression = _field(request, "expression")
        if expression not in EXPRESSIONS:
            raise UsageError("Please choose one of the eight expressions.")
        clip = await self._known_clip(request)
        told = await run_in_threadpool(self._device.correct, clip, expression)
        if not _wants_json(request):
            return _to("/inbox", marked=clip)
        return JSONResponse(
            {
                "sentence": _thanks(told, expression),
                "due": bool(told.get("due")),
                "user": told.get("user", ""),
                "corrections": told.get("corrections"),
            }
        )

    async def undo(self, request: Request) -> Response:
        """Takes a clip's last label back."""
        clip = await self._known_clip(request)
        told = await run_in_threadpool(self._device.undo, clip)
        if not _wants_json(request):
            return _to("/inbox", said="taken-back")
        now = told.get("expression")
        said = f"Taken back. It counts as {now} again." if now else "Taken back."
        return JSONResponse({"sentence": said, "expression": now})

    async def discard(self, request: Request) -> Response:
        """Erases a clip of somebody else that was taken for the user's."""
        clip = await self._known_clip(request)
        await run_in_threadpool(self._device.discard, clip)
        return _to("/inbox", said="erased")

    async def _known_clip(self, request: Request) -> str:
        clip: str = request.path_params["clip"]
        if await self._clip(clip) is None:
            raise HTTPException(404, "This clip is not here any more.")
        return clip

    async def _clip(self, clip: str) -> dict[str, Any] | None:
        if not _ID.fullmatch(clip):
            return None
        return await run_in_threadpool(self._device.clip, clip)

    async def users(self, request: Request) -> Response:
        """Everybody who is enrolled."""
        return self._page(request, "users.html", "users", people=await self._people())

    async def new_user(self, request: Request) -> Response:
        """Enrolment, with guidance and consent."""
        return self._page(
            request,
            "enrol.html",
            "users",
            script="enrol.js",
            consent=CONSENT_TEXT,
            longest_name=LONGEST_USER,
        )

    async def personalise(self, request: Request) -> Response:
        """Learns from a user's corrections; says what that changed."""
        person = await self._known_person(request)
        result = await self._jobs.run({"do": "personalise", "user": person["name"]})
        said = personalised(result)
        if _wants_json(request):
            return JSONResponse({"sentence": said})
        people = await self._people()
        return self._page(request, "users.html", "users", people=people, said=said)

    async def consent(self, request: Request) -> Response:
        """Takes a user into the fleet, or out of it."""
        person = await self._known_person(request)
        federate = _yes_or_no(request, "federate")
        await run_in_threadpool(self._device.consent, person["name"], federate=federate)
        return _to("/users", said="joined" if federate else "left")

    async def forget(self, request: Request) -> Response:
        """Asks whether a user is to be forgotten; the second time does it."""
        person = await self._known_person(request)
        if _field(request, "sure") != "yes":
            return self._page(request, "forget.html", "users", person=person)
        await run_in_threadpool(self._device.forget, person["name"])
        return _to("/users", said="forgotten")

    async def _known_person(self, request: Request) -> dict[str, Any]:
        name = _field(request, "name")
        for each in await self._people():
            if each["name"] == name:
                return each
        raise HTTPException(404, "Nobody with this name is enrolled here.")

    async def ledger(self, request: Request) -> Response:
        """What left this device, and what it refused."""
        people = await self._people()
        entries = await run_in_threadpool(self._device.ledger)
        status = await run_in_threadpool(self._device.status)
        return self._page(
            request,
            "ledger.html",
            "ledger",
            **ledger_view(entries),
            refusals=refusals_view(status),
            paused=await run_in_threadpool(lambda: self._device.paused),
            helping=sum(each["federate"] for each in people),
        )

    async def pause(self, request: Request) -> Response:
        """The switch for taking part."""
        paused = _yes_or_no(request, "paused")
        await run_in_threadpool(self._device.pause, paused)
        return _to("/ledger", said="paused" if paused else "resumed")

    async def about(self, request: Request) -> Response:
        """What the device holds, and the limits of what Mien does."""
        status = await run_in_threadpool(self._device.status)
        return self._page(
            request, "about.html", "about", facts=about_facts(status), text=FIRST_START
        )


def _field(request: Request, name: str) -> str:
    form: Mapping[str, str] = request.scope["state"]["form"]
    return form.get(name, "")


def _yes_or_no(request: Request, name: str) -> bool:
    value = _field(request, name)
    if value not in ("yes", "no"):
        raise UsageError("Mien did not understand this choice. Please reload the page.")
    return value == "yes"


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _to(path: str, **query: str) -> RedirectResponse:
    return RedirectResponse(URL(path).include_query_params(**query), status_code=303)


def _thanks(told: Mapping[str, Any], expression: str) -> str:
    count = told.get("corrections")
    said = f"Thank you. Noted as {expression}."
    if isinstance(count, int) and count > 0:
        said += f" {count} {'answer' if count == 1 else 'answers'} of yours to learn from."
    return said
