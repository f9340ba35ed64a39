"""Every route is behind the guard: token, Host, Origin, CSRF secret, sizes, headers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.routing import Route

from client.device.device import Device
from client.web.app import make_app
from client.web.guard import HEADERS, LARGEST_FORM, NO_CSRF, NO_TOKEN, Session
from tests.client.web.fakes import BASE, PORT, SESSION, TOKEN, FakeJobs, Visitor

ID = "0" * 32
UNSAFE = ("POST", "PUT", "DELETE")
GOOD = {"origin": BASE, "x-mien-csrf": SESSION.csrf}


def every_route() -> list[tuple[str, str]]:
    """Method and address of all there is, so that a new route can't be forgotten here."""
    app = make_app(Device.__new__(Device), FakeJobs(), TOKEN, PORT)
    names = {"{clip}": ID, "{recording}": ID, "{name}": "style.css"}
    found = []
    for route in app.routes:
        assert isinstance(route, Route)
        path = route.path
        for pattern, value in names.items():
            path = path.replace(pattern, value)
        assert "{" not in path
        found += [(method, path) for method in sorted(route.methods or ())]
    return found


ROUTES = every_route()
WRITES = [each for each in ROUTES if each[0] in UNSAFE]


@pytest.fixture
def stranger(device: Device, jobs: FakeJobs) -> Iterator[Visitor]:
    """Somebody without the token."""
    with Visitor(device, jobs, entered=False) as one:
        yield one


def state(device: Device) -> tuple[object, ...]:
    """Everything that a request could change."""
    return (device.users(), device.inbox(), device.paused)


def test_there_are_routes_that_read_and_that_write() -> None:
    assert len(ROUTES) > 25
    assert len(WRITES) >= 10


def let_in(visitor: Visitor, routes: list[tuple[str, str]], headers: dict[str, str]) -> list[str]:
    """Routes that did not answer 403."""
    return [
        f"{method} {path}"
        for method, path in routes
        if visitor.http.request(method, path, headers=headers).status_code != 403
    ]


def test_without_the_token_nothing_is_told_or_done(stranger: Visitor, device: Device) -> None:
    before = state(device)
    for method, path in ROUTES:
        answer = stranger.http.request(method, path, headers=GOOD)
        assert answer.status_code == 403, path
        assert method == "HEAD" or answer.text == NO_TOKEN
    assert state(device) == before


@pytest.mark.parametrize(
    "cookie", ["", "x", TOKEN, SESSION.ticket[:-1], Session("other", PORT).ticket, SESSION.csrf]
)
def test_a_wrong_cookie_is_refused(stranger: Visitor, cookie: str) -> None:
    assert let_in(stranger, ROUTES, {**GOOD, "cookie": f"{SESSION.cookie}={cookie}"}) == []


@pytest.mark.parametrize(
    "foreign", ["x=1", 'pref={"a":1}', "a=b c", "a[b]=1", "novalue", "_xsrf=2|abc", "\xfcber=1"]
)
def test_other_programs_cookies_do_no_harm(stranger: Visitor, foreign: str) -> None:
    """Cookies are shared by all ports of an address."""
    cookie = f"{foreign}; {SESSION.cookie}={SESSION.ticket}; {foreign}".encode("latin-1")
    assert stranger.http.get("/live", headers={"cookie": cookie}).status_code == 200


@pytest.mark.parametrize(
    "token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "%00", "ü", SESSION.ticket]
)
def test_a_wrong_token_is_refused(stranger: Visitor, token: str) -> None:
    answer = stranger.http.get("/", params={"token": token})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_token_opens_the_page_once_and_becomes_a_cookie(stranger: Visitor) -> None:
    answer = stranger.http.get("/", params={"token": TOKEN})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in answer.text + answer.headers["set-cookie"]
    assert stranger.http.get("/live").status_code == 200


@pytest.mark.parametrize("path", ["/live", "/inbox", "/static/style.css", "/recordings/0"])
def test_the_token_opens_nothing_but_the_start(stranger: Visitor, path: str) -> None:
    assert stranger.http.get(path, params={"token": TOKEN}).status_code == 403


def test_a_cookie_of_a_page_on_another_port_is_no_ticket(stranger: Visitor) -> None:
    other = Session(TOKEN, PORT + 1)
    headers = {"cookie": f"{other.cookie}={other.ticket}"}
    assert stranger.http.get("/live", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{PORT}", f"localhost:{PORT}", "127.0.0.1", "127.0.0.1:1", ""],
)
def test_another_host_is_refused(visitor: Visitor, device: Device, host: str) -> None:
    before = state(device)
    assert let_in(visitor, ROUTES, {**GOOD, "host": host}) == []
    assert visitor.http.get("/", params={"token": TOKEN}, headers={"host": host}).status_code == 403
    assert state(device) == before


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1", ""]
)
def test_another_origin_is_refused(visitor: Visitor, device: Device, origin: str) -> None:
    before = state(device)
    assert let_in(visitor, ROUTES, {**GOOD, "origin": origin}) == []
    assert state(device) == before


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_requests_that_another_site_started_are_refused(visitor: Visitor, site: str) -> None:
    assert let_in(visitor, ROUTES, {**GOOD, "sec-fetch-site": site}) == []


def test_the_link_with_the_token_works_from_another_program(stranger: Visitor) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    answer = stranger.http.get("/", params={"token": TOKEN}, headers=headers)
    assert answer.status_code == 200
    # A redirect would belong to the foreign chain, and the strict cookie would not be sent.
    assert "location" not in answer.headers


@pytest.mark.parametrize("secret", [None, "", "x", TOKEN, SESSION.ticket])
def test_nothing_changes_without_the_second_secret(
    visitor: Visitor, device: Device, secret: str | None
) -> None:
    before = state(device)
    headers = {"origin": BASE} if secret is None else {"origin": BASE, "x-mien-csrf": secret}
    form = {} if secret is None else {"csrf": secret}
    for method, path in WRITES:
        answer = visitor.http.request(method, path, headers=headers)
        assert (answer.status_code, answer.text) == (403, NO_CSRF), path
        answer = visitor.http.request(method, path, headers={"origin": BASE}, data=form)
        assert answer.status_code == 403, path
    assert state(device) == before


def test_nothing_changes_without_an_origin(visitor: Visitor, device: Device) -> None:
    before = state(device)
    assert let_in(visitor, WRITES, {"x-mien-csrf": SESSION.csrf}) == []
    assert state(device) == before


def test_a_form_that_is_too_large_is_refused(visitor: Visitor) -> None:
    for method, path in WRITES:
        if method == "POST":
            assert visitor.post(path, name="x" * LARGEST_FORM).status_code == 413, path


def test_a_body_that_hides_its_length_is_bounded(visitor: Visitor) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 1024

    kind = {"content-type": "application/x-www-form-urlencoded", "origin": BASE}
    assert visitor.http.post("/pause", content=endless(), headers=kind).status_code == 413


def test_every_answer_has_the_headers(visitor: Visitor, stranger: Visitor) -> None:
    for method, path in [*ROUTES, ("GET", "/nowhere"), ("PATCH", "/live")]:
        for who in (visitor, stranger):
            answer = who.http.request(method, path, headers=GOOD)
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, path


def test_the_policy_allows_nothing_from_elsewhere() -> None:
    policy = dict(
        part.strip().split(" ", 1) for part in HEADERS["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in HEADERS["content-security-policy"]
    assert "http" not in HEADERS["content-security-policy"]
    assert HEADERS["permissions-policy"].startswith("camera=(self)")


def test_secrets_differ_and_tell_nothing_of_each_other() -> None:
    assert len({TOKEN, SESSION.ticket, SESSION.csrf}) == 3
    assert Session("other", PORT).csrf != SESSION.csrf
