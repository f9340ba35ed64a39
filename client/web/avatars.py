"""The avatar beside the person on Live: drawn, read, and held against what the person shows.

Off for whoever has set no avatar.  The first picture of a user who has one loads face finder and
backbone into this process (no torch); the picture is the script's own, is looked at once and is
kept nowhere.  Drawn avatars stay in memory until the next one, under a random name.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from client.avatar.setting import has_avatar
from client.avatar.sources.interface import AvatarSource, check_probabilities
from client.device.device import Device
from client.device.place import read_device
from client.recognition.answer import PERSONAL
from client.web.guard import TOO_LARGE, read_bounded
from common.errors import UsageError
from common.expressions import EXPRESSIONS
from common.video import Image

if TYPE_CHECKING:  # these load OpenCV; a page without avatars does without it
    from client.avatar.check import Checker, Shown
    from client.avatar.store import Choice

LARGEST_FRAME: Final = 16 << 20
"""Bytes of the camera's picture as PNG."""
MOST_PICTURES: Final = 4
"""In memory; the page shows one."""
_BLANK: Final = np.zeros((1, 1, 3), np.uint8)
_OWN_WORD: Final = 0.999
_NOT_UNDERSTOOD: Final = "Mien did not understand this request. Please reload the page."
_NO_FRAME: Final = "This avatar is made from the camera’s picture, and none came."


@dataclass(frozen=True)
class _Loaded:
    """One user's avatar, ready to draw."""

    choice: Choice
    source: AvatarSource


@dataclass
class AvatarDesk:
    """Draws and checks avatars of one device; may be called from several threads.

    Attributes:
        device: whose users have avatars.
        load: makes the checker when the first avatar is wanted.
    """

    device: Device
    load: Callable[[], Checker]
    _checker: Checker | None = None
    _sources: dict[str, tuple[str, _Loaded]] = field(default_factory=dict)
    _pictures: dict[str, bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def names(self) -> list[str]:
        """Of the users who have set an avatar."""
        vault = self.device.vault
        return sorted(user.name for user in vault.users() if has_avatar(vault, user.id))

    def show(self, name: str, shares: Any, real: str, frame: Image | None) -> dict[str, Any]:
        """Draw a user's avatar and say whether it shows what the person shows.

        Args:
            name: of the user.
            shares: (8,) probabilities of the answer that drives the avatar.
            real: the user's own word, one of `EXPRESSIONS`; empty where the answer counts.
            frame: RGB, the camera's picture; None for avatars that need none.

        Returns:
            picture (its address), alt, same, mark (the real expression; empty where both agree)
            and note (a sentence).

        Raises:
            HTTPException: there is no such user, or none with an avatar.
            UsageError, WorkError: the avatar can't be drawn.
        """
        from client.avatar.store import DrawnChoice

        with self._lock:
            loaded = self._loaded(name)
            drawn = loaded.choice if isinstance(loaded.choice, DrawnChoice) else None
            if frame is None and drawn is None:
                raise UsageError(_NO_FRAME)
            picture = loaded.source.draw(_BLANK if frame is None else frame, shares)
            checker = self._ready()
            own = None if drawn is None else drawn.reader(checker.spec)
            verdict = checker.compare(_known(shares, real), picture, own_avatar=own)
            return {
                "picture": f"/avatars/{self._keep(picture)}",
                "alt": f"{name}’s avatar, showing {verdict.avatar.expression}",
                "same": verdict.same,
                "mark": "" if verdict.same else f"In fact: {verdict.face.expression}",
                "note": "The avatar shows the same."
                if verdict.same
                else f"The avatar looks {verdict.avatar.expression}.",
            }

    def picture(self, token: str) -> bytes | None:
        """A picture that `show` has drawn, as PNG, while it is kept."""
        return self._pictures.get(token)

    def close(self) -> None:
        """Stop the engine's threads, if there are any."""
        with self._lock:
            if self._checker is not None:
                self._checker.close()
                self._checker = None

    def _ready(self) -> Checker:
        if self._checker is None:
            self._checker = self.load()
        return self._checker

    def _loaded(self, name: str) -> _Loaded:
        from client.avatar.store import avatar_of, source_of

        user = self.device.vault.user(name) if name.isprintable() else None
        choice = None if user is None else avatar_of(self.device.vault, user.id)
        if user is None or choice is None:
            raise HTTPException(404, "Nobody with this name has an avatar here.")
        # What is chosen may change while the page is open; loading a generator takes seconds.
        mark = _mark(choice)
        held = self._sources.get(user.id)
        if held is None or held[0] != mark:
            self._sources = {user.id: (mark, _Loaded(choice, source_of(choice)))}
        return self._sources[user.id][1]

    def _keep(self, picture: Image) -> str:
        from client.avatar.png import png_of

        token = secrets.token_hex(16)
        newest = list(self._pictures.items())[-(MOST_PICTURES - 1) :]
        self._pictures = {**dict(newest), token: png_of(picture)}
        return token


def _mark(choice: Choice) -> str:
    from client.avatar.store import DrawnChoice

    return choice.sheet.digest if isinstance(choice, DrawnChoice) else repr(choice)


def _known(shares: Any, real: str) -> Shown:
    """What the person shows: the answer, or the person's own word, which is above it."""
    from client.avatar.check import Shown

    if real:
        rest = (1 - _OWN_WORD) / (len(EXPRESSIONS) - 1)
        shares = [_OWN_WORD if each == real else rest for each in EXPRESSIONS]
    place = int(np.argmax(shares))
    told = tuple(float(each) for each in shares)
    return Shown(expression=EXPRESSIONS[place], probabilities=told, head=PERSONAL, reason="")


class AvatarRoutes:
    """POST draws and checks an avatar, GET gives a picture that was drawn."""

    def __init__(self, desk: AvatarDesk) -> None:
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """The avatar for `name` and `shares`; the body is the camera's picture or empty."""
        body = await read_bounded(request, LARGEST_FRAME)
        if body is None:
            raise HTTPException(413, TOO_LARGE)
        asked = request.query_params
        real = asked.get("real", "")
        if real and real not in EXPRESSIONS:
            raise UsageError(_NOT_UNDERSTOOD)
        shares = _shares(asked.get("shares", ""))
        frame = _frame(body) if body else None
        told = await run_in_threadpool(self._desk.show, asked.get("name", ""), shares, real, frame)
        return JSONResponse(told)

    async def picture(self, request: Request) -> Response:
        """One picture, as PNG."""
        content = self._desk.picture(request.path_params["name"])
        if content is None:
            raise HTTPException(404)
        return Response(content, headers={"content-type": "image/png"})


def _frame(body: bytes) -> Image:
    from client.avatar.png import picture_of

    return picture_of(body, "the camera’s picture")


def _shares(text: str) -> Any:
    parts = text.split(",") if len(text) < 400 else []
    try:
        return check_probabilities(np.array([float(part) for part in parts]))
    except (ValueError, UsageError):
        raise UsageError(_NOT_UNDERSTOOD) from None


def device_checker(device: Device) -> Checker:
    """The device's backbone and the face finder, loaded.

    Raises:
        UsageError, WorkError: the device's settings or the weights can't be used.
    """
    from client.avatar.check import load_checker
    from common.backbones.records import DEFAULT_BACKBONE

    settings = read_device(device.vault.folder)
    return load_checker(str(settings.get("backbone", "")) or DEFAULT_BACKBONE)
