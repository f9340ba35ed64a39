"""Who may talk to the page: one check in front of every route, and headers behind it.

A request is let in only if it names this page's own address as Host (a foreign name that resolves
to 127.0.0.1 is refused), comes from this page or the address bar (Origin, Sec-Fetch-Site), and
carries the session's cookie, which is had only with the token that was printed at the start. What
changes anything also carries a second secret that other pages can't read, in a header or a form.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request, cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_FORM: Final = 64 * 1024
"""Bytes of a form or a JSON request; pieces of clips have a bound of their own."""
CSRF_HEADER: Final = "x-mien-csrf"
CSRF_FIELD: Final = "csrf"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_FORM: Final = "application/x-www-form-urlencoded"
_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)
HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer, forms would come with "Origin: null", and that check would be blind.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# A redirect would keep the cookie from being sent: it belongs to a chain that began elsewhere.
_ENTER: Final = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/">'
    '<title>Mien</title><link rel="icon" href="/static/icon.svg"><p><a href="/">Open Mien</a></p>'
)
NO_TOKEN: Final = (
    "This page opens only with the link that Mien showed when it started. Please use that link."
)
STRANGE_HOST: Final = "This page answers only under its own address on this computer."
STRANGE_ORIGIN: Final = "Another page asked for this, so it was refused."
NO_CSRF: Final = "This form is from an earlier start of Mien. Please reload the page and try again."
TOO_LARGE: Final = "That was larger than this page takes."


@dataclass(frozen=True)
class Session:
    """What the guard compares with.

    Attributes:
        token: secret of this start, as it stands in the link.
        port: on which the page is served.
    """

    token: str
    port: int

    @property
    def host(self) -> str:
        """Name and port, as browsers send them."""
        return f"127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        """The cookie's name; a port has its own, as cookies are shared between ports."""
        return f"mien-{self.port}"

    @property
    def ticket(self) -> str:
        """The cookie's value: not the token, so that a leaked cookie doesn't open the link."""
        return self._derived("session")

    @property
    def csrf(self) -> str:
        """The second secret of requests that change something."""
        return self._derived("csrf")

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), hashlib.sha256).hexdigest()


class Guard:
    """ASGI middleware that does what this module's docstring says."""

    def __init__(self, app: ASGIApp, *, session: Session) -> None:
        self._app = app
        self._session = session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through to the page, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        guarded = _with_headers(send)
        try:
            response = await self._answer(scope, receive)
        except ClientDisconnect:
            return
        if scope.get("state", {}).get("was_form"):
            receive = _nothing_more  # a second reading of the body would wait for ever
        await (response or self._app)(scope, receive, guarded)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """The answer where the request is refused or brings the token; None lets it in."""
        headers = Headers(scope=scope)
        strange = _strange(headers, self._session, scope["method"])
        if strange:
            return PlainTextResponse(strange, status_code=403)
        entering = self._token_in(scope)
        if entering is not None:
            return self._enter() if _same(entering, self._session.token) else _refused(NO_TOKEN)
        if not _foreign_site(headers) and _same(
            _cookie(headers, self._session.cookie), self._session.ticket
        ):
            return None if scope["method"] in _SAFE_METHODS else await self._csrf(scope, receive)
        return _refused(STRANGE_ORIGIN if _foreign_site(headers) else NO_TOKEN)

    def _token_in(self, scope: Scope) -> str | None:
        """The token of the first visit; None where the request is another one."""
        query: bytes = scope["query_string"]
        if scope["path"] != "/" or scope["method"] != "GET" or b"token=" not in query:
            return None
        return parse_qs(query.decode("latin-1")).get("token", [""])[0]

    def _enter(self) -> Response:
        response = HTMLResponse(_ENTER)
        response.set_cookie(
            self._session.cookie, self._session.ticket, httponly=True, samesite="strict", path="/"
        )
        return response

    async def _csrf(self, scope: Scope, receive: Receive) -> Response | None:
        """Checks the second secret; leaves a form's fields in the request's state."""
        headers = Headers(scope=scope)
        given = headers.get(CSRF_HEADER)
        fields: dict[str, str] = {}
        if headers.get("content-type", "").split(";")[0].strip().lower() == _FORM:
            body = await read_bounded(Request(scope, receive), LARGEST_FORM)
            if body is None:
                return _refused(TOO_LARGE, 413)
            scope.setdefault("state", {})["was_form"] = True
            fields = _fields(body)
            given = given or fields.get(CSRF_FIELD)
        scope.setdefault("state", {})["form"] = fields
        return None if _same(given or "", self._session.csrf) else _refused(NO_CSRF)


async def _nothing_more() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def read_bounded(request: Request, limit: int) -> bytes | None:
    """A request's body; None if it is longer than `limit` bytes, of which no more is kept."""
    try:
        if int(request.headers.get("content-length", "0")) > limit:
            return None
    except ValueError:
        return None
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            return None
    return bytes(body)


def _fields(body: bytes) -> dict[str, str]:
    """A form's fields; of a field that stands twice the first."""
    try:
        found = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}


def _strange(headers: Headers, session: Session, method: str) -> str:
    """Why the request does not belong here, by its Host and Origin; empty if it does."""
    if headers.getlist("host") != [session.host]:
        return STRANGE_HOST
    origins = headers.getlist("origin")
    if origins != [f"http://{session.host}"] and (origins or method not in _SAFE_METHODS):
        return STRANGE_ORIGIN
    return ""


def _foreign_site(headers: Headers) -> bool:
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _cookie(headers: Headers, name: str) -> str:
    """As browsers send them: other programs on this address may have cookies of any form."""
    return cookie_parser(headers.get("cookie", "")).get(name, "")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _refused(text: str, status: int = 403) -> Response:
    return PlainTextResponse(text, status_code=status)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return sending
