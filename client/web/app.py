"""The page as a Starlette app: routes, errors as one sentence, the guard in front of it all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from client.device.device import Device
from client.vault.errors import VaultWrongKey
from client.web.avatars import AvatarDesk, AvatarRoutes, device_checker
from client.web.guard import HEADERS, Guard, Session
from client.web.pages import Pages
from client.web.recording_routes import RecordingRoutes
from client.web.recordings import Jobs, Recordings
from client.web.static_files import StaticFiles
from client.web.templates import Templates
from client.web.words import sentence
from common.errors import MienError, UsageError

if TYPE_CHECKING:  # it loads OpenCV
    from client.avatar.check import Checker

_UNEXPECTED: Final = "Something went wrong inside Mien. Nothing was changed; please try again."
_NOT_HERE: Final = "There is nothing here."
_NEW_KEY: Final = (
    "The device has a new key since this page was started. End the page and start it anew: "
    "mien device web."
)
_NOT_SO: Final = "This can't be asked in this way."


def make_app(
    device: Device,
    workers: Jobs,
    token: str,
    port: int,
    *,
    checker: Callable[[Device], Checker] = device_checker,
) -> Starlette:
    """The device's page.

    Args:
        device: what needs no model; called from several threads.
        workers: what runs jobs; closed when the app ends.
        token: secret of this start, at least 128 bits; the first visit is `/?token=...`.
        port: on which the page is served.
        checker: loads what reads avatars, when the first one is wanted.
    """
    session = Session(token, port)
    templates = Templates(session.csrf)
    recordings = Recordings(workers)
    errors = Errors(templates)
    avatars = AvatarDesk(device, lambda: checker(device))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await recordings.close()
            await workers.close()
            avatars.close()

    app = Starlette(
        routes=[
            *_routes(Pages(device, workers, templates, avatars), RecordingRoutes(recordings)),
            *_avatar_routes(AvatarRoutes(avatars)),
        ],
        middleware=[Middleware(Guard, session=session)],
        exception_handlers={
            MienError: errors.expected,
            HTTPException: errors.http,
            Exception: errors.unexpected,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _routes(pages: Pages, clips: RecordingRoutes) -> list[Route]:
    static = StaticFiles()
    return [
        Route("/", pages.start, methods=["GET"]),
        Route("/welcome", pages.welcome, methods=["GET"]),
        Route("/live", pages.live, methods=["GET"]),
        Route("/inbox", pages.inbox, methods=["GET"]),
        Route("/clips/{clip}/label", pages.label, methods=["POST"]),
        Route("/clips/{clip}/undo", pages.undo, methods=["POST"]),
        Route("/clips/{clip}/discard", pages.discard, methods=["POST"]),
        Route("/users", pages.users, methods=["GET"]),
        Route("/users/new", pages.new_user, methods=["GET"]),
        Route("/users/personalise", pages.personalise, methods=["POST"]),
        Route("/users/consent", pages.consent, methods=["POST"]),
        Route("/users/forget", pages.forget, methods=["POST"]),
        Route("/ledger", pages.ledger, methods=["GET"]),
        Route("/pause", pages.pause, methods=["POST"]),
        Route("/about", pages.about, methods=["GET"]),
        Route("/recordings", clips.begin, methods=["POST"]),
        Route("/recordings/{recording}", clips.add, methods=["PUT"]),
        Route("/recordings/{recording}", clips.newest, methods=["GET"]),
        Route("/recordings/{recording}", clips.leave, methods=["DELETE"]),
        Route("/static/{name}", static.get, methods=["GET"]),
    ]


def _avatar_routes(avatars: AvatarRoutes) -> list[Route]:
    return [
        Route("/avatars", avatars.show, methods=["POST"]),
        Route("/avatars/{name}", avatars.picture, methods=["GET"]),
    ]


class Errors:
    """Every failure as one sentence, in the form that was asked for."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    async def expected(self, request: Request, error: Exception) -> Response:
        """What a person can do something about: 400 for the request, 409 for the work."""
        status = 400 if isinstance(error, UsageError) else 409
        if isinstance(error, VaultWrongKey):
            return self._sorry(request, status, _NEW_KEY)
        return self._sorry(request, status, sentence(str(error)))

    async def http(self, request: Request, error: Exception) -> Response:
        """No such page, a wrong method, too large a body."""
        status = error.status_code if isinstance(error, HTTPException) else 400
        own = error.detail if isinstance(error, HTTPException) and " " in error.detail else ""
        texts = {404: _NOT_HERE, 405: _NOT_SO}
        written_here = own and own.endswith(".")
        return self._sorry(request, status, own if written_here else texts.get(status, _NOT_SO))

    async def unexpected(self, request: Request, error: Exception) -> Response:
        """A defect: its details go to the terminal (by the server), not to the page."""
        response = self._sorry(request, 500, _UNEXPECTED)
        response.headers.update(HEADERS)  # Starlette answers this one from outside the guard
        return response

    def _sorry(self, request: Request, status: int, text: str) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"error": text}, status_code=status)
        return self._templates.page(
            "sorry.html",
            "",
            status=status,
            heading="Not found" if status == 404 else "That did not work",
            sentence=text,
            back="/",
        )
