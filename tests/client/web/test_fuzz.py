"""Junk on every route: a sentence and a code below 500, and nothing outside is read."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from starlette.routing import Route

from client.device.device import Device
from client.web.app import make_app
from client.web.guard import HEADERS
from common.expressions import EXPRESSIONS
from tests.client.web.fakes import BASE, PORT, SESSION, TOKEN, FakeJobs, Visitor

NOT_ONE = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ROUTES = [
    (method, route.path)
    for route in make_app(Device.__new__(Device), FakeJobs(), TOKEN, PORT).routes
    if isinstance(route, Route)
    for method in sorted(route.methods or ())
]
FIELDS = ("name", "expression", "sure", "paused", "federate", "user", "marked", "said", "seen")
TEXTS = some.one_of(
    some.text(max_size=40),
    some.sampled_from(["Ada", "Bo", "yes", "no", "\0", "../../etc/passwd", "0" * 32, *EXPRESSIONS]),
)
PARTS = TEXTS.map(lambda text: quote(text.encode("utf-8", "replace"), safe=""))
JSONS = some.recursive(
    some.one_of(some.none(), some.booleans(), some.integers(), some.floats(), TEXTS),
    lambda inner: some.one_of(
        some.lists(inner, max_size=3),
        some.dictionaries(
            some.sampled_from(["do", "name", "user", "agreed", "federate", "x"]), inner
        ),
    ),
    max_leaves=8,
)


@NOT_ONE
@given(
    route=some.sampled_from(ROUTES),
    part=PARTS,
    query=some.dictionaries(some.sampled_from([*FIELDS, "piece", "last", "token"]), TEXTS),
    body=some.one_of(
        some.binary(max_size=200),
        some.dictionaries(some.sampled_from(FIELDS), TEXTS),
        JSONS.map(lambda value: json.dumps(value).encode()),
    ),
    accept=some.sampled_from(["text/html", "application/json", "*/*", "\x7f"]),
)
def test_junk_is_answered_by_a_sentence(
    visitor: Visitor,
    route: tuple[str, str],
    part: str,
    query: dict[str, str],
    body: Any,
    accept: str,
) -> None:
    method, path = route
    for name in ("{clip}", "{recording}", "{name}"):
        path = path.replace(name, part)
    headers = {"origin": BASE, "x-mien-csrf": SESSION.csrf, "accept": accept}
    sent = {"data": body} if isinstance(body, dict) else {"content": body}
    answer = visitor.http.request(method, path, params=query, headers=headers, **sent)
    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


@settings(NOT_ONE, max_examples=60)
@given(
    name=some.sampled_from(["host", "origin", "cookie", "x-mien-csrf", "content-type", "accept"]),
    value=some.text(
        some.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60
    ),
    length=some.sampled_from([None, "-1", "x", "9" * 30, "1e3"]),
)
def test_junk_in_headers(visitor: Visitor, name: str, value: str, length: str | None) -> None:
    headers = {"origin": BASE, "x-mien-csrf": SESSION.csrf, name: value.strip().encode("latin-1")}
    if length is not None:
        headers["content-length"] = length
    answer = visitor.http.request("POST", "/pause", headers=headers, content=b"paused=yes")
    assert answer.status_code < 500


@pytest.mark.parametrize("value", ["²", "١", "1_0", " 1", "+1", "-1", "1e9", "9" * 10, "0x1"])
def test_numbers_are_plain_digits(visitor: Visitor, value: str) -> None:
    id = visitor.send("POST", "/recordings", json={"do": "recognise"}).json()["id"]
    path = f"/recordings/{id}?piece={quote(value)}"
    assert visitor.send("PUT", path, content=b"x").status_code == 400
    visitor.send("DELETE", f"/recordings/{id}")
