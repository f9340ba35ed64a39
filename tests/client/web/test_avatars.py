"""The avatar on Live: off until one is set, drawn from the answer, marked where it differs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import numpy as np
import pytest
import uvicorn
from starlette.testclient import TestClient

from client.avatar.png import picture_of, png_of
from client.avatar.store import DrawnChoice, GeneratorChoice, save_avatar
from client.device.device import Device
from client.web.app import make_app
from client.web.serving import listening
from common.errors import WorkError
from common.expressions import EXPRESSIONS
from tests.client.avatar.fakes import Colours, checker, coloured_sheet, flat
from tests.client.avatar.networks import digest, plain_onnx
from tests.client.web.camera import FLAGS, FRAMES_PER_SECOND, HEIGHT, WIDTH, chromium, film
from tests.client.web.fakes import BASE, PORT, SESSION, TOKEN, FakeJobs, Visitor, answer

HAPPY = EXPRESSIONS.index("happy")


class Sitter(Visitor):
    """A visitor whose page reads avatars by their colour."""

    def __init__(self, device: Device, **options: object) -> None:
        self.loads = 0

        def load(_: Device) -> object:
            self.loads += 1
            if options.get("missing"):
                raise WorkError("the weights are missing")
            return checker(**options)  # type: ignore[arg-type]

        app = make_app(device, FakeJobs(), TOKEN, PORT, checker=load)  # type: ignore[arg-type]
        self.http = TestClient(
            app, base_url=BASE, follow_redirects=False, raise_server_exceptions=False
        )
        self.http.cookies.set(SESSION.cookie, SESSION.ticket)

    def asks(
        self, name: str = "Ada", real: str = "", body: bytes = b"", shares: str = ""
    ) -> object:
        query = urlencode({"name": name, "real": real, "shares": shares or sure("happy")})
        return self.send("POST", f"/avatars?{query}", content=body)


def sure(expression: str) -> str:
    rest = 0.07 / 7
    return ",".join("0.93" if each == expression else f"{rest:.4f}" for each in EXPRESSIONS)


def draws(device: Device, name: str = "Ada") -> None:
    """Gives a user a drawn avatar."""
    user = device.vault.user(name)
    assert user is not None
    save_avatar(device.vault, user, DrawnChoice(sheet=coloured_sheet()))


@pytest.fixture
def sitter(device: Device) -> Iterator[Sitter]:
    with Sitter(device) as one:
        yield one


def test_off_until_a_user_has_set_one(sitter: Sitter, device: Device) -> None:
    assert 'id="avatar"' not in sitter.get("/live").text
    assert sitter.asks().status_code == 404
    assert sitter.loads == 0
    draws(device)
    page = sitter.get("/live").text
    assert 'data-names="[&#34;Ada&#34;]"' in page
    assert 'aria-live="polite"' in page


def test_the_avatar_shows_the_answer(sitter: Sitter, device: Device) -> None:
    draws(device)
    told = sitter.asks().json()
    assert (told["same"], told["mark"]) == (True, "")
    assert told["alt"] == "Ada’s avatar, showing happy"
    found = sitter.get(told["picture"])
    assert found.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(
        picture_of(found.content, "it"), coloured_sheet().pictures[-1, HAPPY]
    )


def test_the_persons_own_word_is_the_real_expression(sitter: Sitter, device: Device) -> None:
    draws(device)
    told = sitter.asks(real="sad").json()
    assert (told["same"], told["mark"]) == (False, "In fact: sad")
    assert told["alt"] == "Ada’s avatar, showing happy"


def test_an_avatar_that_is_read_as_another_is_marked(device: Device) -> None:
    draws(device)
    with Sitter(device, confused=["happy"]) as sitter:
        told = sitter.asks().json()
    assert (told["mark"], told["alt"]) == ("In fact: happy", "Ada’s avatar, showing neutral")


def test_the_networks_are_loaded_once_and_few_pictures_stay(sitter: Sitter, device: Device) -> None:
    draws(device)
    pictures = [sitter.asks().json()["picture"] for _ in range(6)]
    assert sitter.loads == 1
    assert [sitter.get(each).status_code for each in pictures] == [404, 404, 200, 200, 200, 200]


def test_a_generators_avatar_is_made_from_the_cameras_picture(
    sitter: Sitter, device: Device, tmp_path: Path
) -> None:
    user, path = device.vault.user("Ada"), plain_onnx(tmp_path)
    assert user is not None
    save_avatar(device.vault, user, GeneratorChoice(path=path, sha256=digest(path)))
    assert "none came" in sitter.asks().json()["error"]
    frame = flat("happy")
    told = sitter.asks(body=png_of(frame)).json()
    found = picture_of(sitter.get(told["picture"]).content, "it")
    np.testing.assert_array_equal(found, np.full((32, 32, 3), 255 - frame[0, 0, 0]))
    assert told["mark"] == "In fact: happy"
    path.unlink()
    assert sitter.asks(body=png_of(frame)).status_code == 200  # it is loaded already


@pytest.mark.parametrize(
    "query", ["shares=1,2", "shares=a", "real=bored", "shares=" + "nan," * 7 + "nan", "name=%00"]
)
def test_what_is_not_understood_is_refused(sitter: Sitter, device: Device, query: str) -> None:
    draws(device)
    whole = f"name=Ada&shares={quote(sure('sad'))}&{query}" if "shares" not in query else query
    if query.startswith("name"):
        whole = f"{query}&shares={quote(sure('sad'))}"
    assert sitter.send("POST", f"/avatars?{whole}").status_code in (400, 404)


def test_a_body_that_is_no_picture_is_refused(sitter: Sitter, device: Device) -> None:
    draws(device)
    told = sitter.asks(body=b"GIF89a")
    assert (told.status_code, told.json()) == (
        400,
        {"error": "The camera’s picture: this is no PNG picture."},
    )


def test_weights_that_are_missing_are_said(device: Device) -> None:
    draws(device)
    with Sitter(device, missing=True) as sitter:
        told = sitter.asks()
    assert (told.status_code, told.json()["error"]) == (409, "The weights are missing.")


def test_looking_at_avatars_leaves_no_trace(sitter: Sitter, device: Device) -> None:
    draws(device)
    before = (device.inbox(), device.ledger(), sorted(device.vault.folder.iterdir()))
    sitter.asks(body=png_of(flat("sad")))
    assert (device.inbox(), device.ledger(), sorted(device.vault.folder.iterdir())) == before


@contextmanager
def served(device: Device, jobs: FakeJobs) -> Iterator[str]:
    """The page on a free port, in a thread; its address."""
    with listening(0) as listener:
        port = listener.getsockname()[1]
        app = make_app(device, jobs, TOKEN, port, checker=lambda _: checker())
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.mark.slow
def test_the_mark_in_a_real_browser(device: Device, jobs: FakeJobs, tmp_path: Path) -> None:
    path = chromium()
    from playwright.sync_api import Route, sync_playwright

    draws(device)
    user = device.vault.user("Ada")
    assert user is not None
    (clip, *_) = device.vault.clips(user=user.id)
    jobs.result = answer(clip=clip.id, confidence=0.93).to_json()
    grey = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    camera = film([grey] * (FRAMES_PER_SECOND // 3), tmp_path / "camera.mjpeg")

    def shorter(route: Route) -> None:
        answered = route.fetch()
        text = answered.text().replace('data-seconds="4"', 'data-seconds="0.3"')
        route.fulfill(response=answered, body=text)

    with served(device, jobs) as address, sync_playwright() as playwright:
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        page = browser.new_page()
        page.route("**/live", shorter)
        page.goto(f"{address}/?token={TOKEN}")
        page.wait_for_url(f"{address}/live")
        assert page.is_hidden("#avatar")
        page.click("#camera-on")
        page.click("#record:not([disabled])")
        page.wait_for_selector("#avatar:not([hidden])")
        assert page.inner_text("#avatar-mark") == "The avatar shows the same."
        page.wait_for_function("document.getElementById('avatar-picture').naturalWidth === 48")
        assert page.get_attribute("#avatar-picture", "alt") == "Ada’s avatar, showing happy"
        page.click(".choice[value=sad]")
        page.wait_for_selector("#avatar-mark .mark")
        assert page.inner_text("#avatar-mark .mark") == "In fact: sad"
        assert page.inner_text("#avatar-mark p") == "The avatar looks happy."
        assert page.inner_text("#verdict").startswith("Happy")
        browser.close()


def test_names_are_data_not_markup(device: Device) -> None:
    from tests.client.web.fakes import person

    name = '"><script>alert(1)</script>'
    person(device.vault, name)
    draws(device, name)
    with Sitter(device) as sitter:
        text = sitter.get("/live").text
    assert "<script>alert" not in text
    start = text.index('data-names="') + len('data-names="')
    import html

    assert json.loads(html.unescape(text[start : text.index('"', start)])) == [name]


def test_the_fake_reads_what_it_is_shown() -> None:
    """Guards these tests: the colours stand for the expressions."""
    read = Colours().submit(flat("angry", 16)[None]).result()
    assert EXPRESSIONS[int(Colours().own(read).argmax())] == "angry"
