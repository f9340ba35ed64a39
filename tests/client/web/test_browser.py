"""The whole way in a real browser: enrol, recognise, correct, learn, forget; intruders refused.

The page, the vault, the workers and the models are the real ones; the camera is Chromium's fake
one, which shows the real clip where it is at hand, else a synthetic actor. With
`MIEN_SCREENSHOTS=FOLDER` pictures of the page are left there, of the synthetic actor only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from client.device.device import Device
from client.device.place import write_device
from client.vault.vault import KeyFile, Vault, create_vault, make_key_file, unlock
from tests.client.web.camera import FLAGS, actor_frames, chromium, clip_file, clip_frames, film
from tests.client.web.foreign import POST_FORM, STEAL, foreign_page
from tests.support import shared_data

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response

ROOT = Path(__file__).resolve().parents[3]
CLIP = "video/01-01-08-02-01-01-19.mp4"
NAME = "Ada"
ACTOR = 2
PATIENCE = 60_000
"""Milliseconds: the first job loads the models."""
SERVE = (
    "import sys; from pathlib import Path; from client.web import serve; "
    "serve(Path(sys.argv[1]), sys.stdin.buffer.read(32), port=0, open_browser=False)"
)


@dataclass(frozen=True)
class Served:
    """A device's page in a process of its own."""

    folder: Path
    key: bytes
    link: str

    @property
    def address(self) -> str:
        return self.link.partition("/?")[0]

    @property
    def port(self) -> str:
        return self.address.rpartition(":")[2]

    @property
    def token(self) -> str:
        return self.link.partition("token=")[2]

    @contextmanager
    def device(self) -> Iterator[Device]:
        """What is in the vault now."""
        with Vault(self.folder, self.key) as vault:
            yield Device(vault)


@dataclass(frozen=True)
class Scene:
    """What the camera shows, clips of the same person as files, whether the person is drawn."""

    camera: Path
    files: list[Path]
    drawn: bool


def scene(source: str, folder: Path) -> Scene:
    """Of the real person or of the synthetic one; skips where the other is to be used."""
    data = shared_data()
    real = data / CLIP if data is not None and (data / CLIP).is_file() else None
    if source == "real":
        if real is None:
            pytest.skip(f"needs the real clip ../shared/data/{CLIP}")
        return Scene(film(clip_frames(real), folder / "camera.mjpeg"), [real], False)
    pictures = bool(os.environ.get("MIEN_SCREENSHOTS"))
    if real is not None and not pictures:
        pytest.skip("the real clip is at hand and was used")
    shown = ("sad", "angry", "disgust", "fearful") if pictures else ("sad",)
    files = [
        clip_file(actor_frames(ACTOR, each, count=14), folder / f"{each} {number}.mp4")
        for number, each in enumerate(shown, start=1)
    ]
    return Scene(film(actor_frames(ACTOR, "happy"), folder / "camera.mjpeg"), files, True)


@pytest.fixture(params=["real", "synthetic"])
def shown(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    """What there is to see; decides before anything is started whether the test is skipped."""
    chromium()
    return scene(request.param, tmp_path)


@pytest.fixture
def served(shown: Scene, tmp_path: Path) -> Iterator[Served]:
    """A new device whose page is served by `client.web.serve`; ends by SIGTERM."""
    folder = tmp_path / "device"
    folder.mkdir(mode=0o700)
    secret = KeyFile(folder / "key")
    make_key_file(secret.path)
    create_vault(folder, secret).close()
    write_device(folder, {"key": {"source": "file", "path": str(secret.path)}})
    key = unlock(folder, secret)
    command = [sys.executable, "-c", SERVE, str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(key)
        process.stdin.close()
        link = re.search(rb"http://\S+", process.stdout.readline())
        assert link is not None
        try:
            yield Served(folder, key, link[0].decode())
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@contextmanager
def browser(camera: Path) -> Iterator[Browser]:
    """Chromium with a fake camera; a foreign name leads to this computer, as a rebound one does."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    more = (
        f"--use-file-for-fake-video-capture={camera}",
        "--host-resolver-rules=MAP *.test 127.0.0.1",
    )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *more])
        try:
            yield started
        finally:
            started.close()


class Album:
    """Screenshots for the README, where they are asked for."""

    def __init__(self, *, drawn: bool) -> None:
        folder = os.environ.get("MIEN_SCREENSHOTS", "")
        self._folder = Path(folder) if folder and drawn else None

    @property
    def sharpness(self) -> float:
        """Pixels per CSS pixel; without a graphics card more of them cost time."""
        return 1.0 if self._folder is None else 1.5

    def keep(self, page: Page, name: str, *, phone: bool = False) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        wide = page.viewport_size
        if phone:
            page.emulate_media(color_scheme="dark")
            page.set_viewport_size({"width": 360, "height": 740})
            page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=self._folder / f"device-{name}.png")
        if phone and wide is not None:
            page.emulate_media(color_scheme="light")
            page.set_viewport_size(wide)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_whole_way(shown: Scene, served: Served) -> None:
    album = Album(drawn=shown.drawn)
    with browser(shown.camera) as started:
        context = started.new_context(
            viewport={"width": 1180, "height": 930},
            color_scheme="light",
            device_scale_factor=album.sharpness,
        )
        context.grant_permissions(["camera"], origin=served.address)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        without_the_token(page, served)
        complaints = listen(page)
        first_start(page, served)
        enrol(page, served)
        recognise(page, served, album)
        without_a_camera(page, served)
        intrude(context.new_page(), served)
        add_files(page, served, shown.files)
        narrow(page, served)
        review(page, served, album, waiting=1 + len(shown.files))
        learn(page, served, album)
        forget(page, served)
        assert complaints == []


def listen(page: Page) -> list[str]:
    """Whatever the browser complains of: scripts that fail, a policy that was broken."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda line: found.append(line.text) if is_complaint(line) else None)
    return found


def is_complaint(line: ConsoleMessage) -> bool:
    """Whether the page is to blame; browsers ask for an icon of the page of refusal, too."""
    return line.type == "error" and not line.location["url"].endswith("/favicon.ico")


def status(page: Page, address: str) -> int:
    answer = page.goto(address)
    assert answer is not None
    return answer.status


def without_the_token(page: Page, served: Served) -> None:
    assert status(page, served.address) == 403
    assert status(page, f"{served.address}/?token=wrong") == 403
    assert status(page, f"{served.address}/inbox") == 403
    assert status(page, f"http://rebound.test:{served.port}/?token={served.token}") == 403


def first_start(page: Page, served: Served) -> None:
    page.goto(served.link)
    page.wait_for_url(f"{served.address}/")
    assert "token" not in page.url
    text = page.inner_text("main")
    assert "What is stored" in text
    assert "What can't be called back" in text
    page.click("text=Enrol the first person")


def enrol(page: Page, served: Served) -> None:
    page.fill("#name", NAME)
    page.click("#camera-on")
    page.click("#record")
    assert page.evaluate("document.activeElement.id") == "agreed"  # asked for, and nothing sent
    page.check("#agreed")
    page.click("#record")
    page.wait_for_selector(f"text={NAME} is enrolled.")
    with served.device() as device:
        (user,) = device.users()
    assert (user["name"], user["consent"]["federate"]) == (NAME, False)


def record(page: Page) -> str:
    """One clip in Live; the expression that was answered."""
    heard: list[Response] = []

    def hear(response: Response) -> None:
        heard.append(response)

    page.on("response", hear)
    page.click("#record")
    page.wait_for_selector("#right:not([disabled])")
    page.remove_listener("response", hear)
    told = [each.json() for each in heard if "seen=" in each.url]
    assert any(each["answer"] and not each["done"] for each in told), "no answer on the way"
    assert page.inner_text("#tag") == NAME
    assert page.get_attribute("#box", "visibility") == "visible"
    return page.inner_text("#verdict").split()[0].lower()


def recognise(page: Page, served: Served, album: Album) -> None:
    page.click("text=Go to Live")
    page.click("#camera-on")
    first = record(page)
    album.keep(page, "live")
    album.keep(page, "live-phone", phone=True)
    page.keyboard.press("8")
    page.wait_for_selector("text=Noted as surprised. 1 answer of yours")
    page.keyboard.press("u")
    page.wait_for_selector("text=Taken back")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"text=Noted as {first}")
    record(page)
    other = "sad" if first == "surprised" else "surprised"
    page.click(f".choice[value={other}]")
    page.wait_for_selector("text=2 answers of yours")
    record(page)
    with served.device() as device:
        labels = sorted(str(row["label"]) for row in device.inbox())
    assert labels == sorted([first, other, "None"])


def intrude(page: Page, served: Served) -> None:
    """Another page of the same browser, on this computer and from a foreign name."""
    with foreign_page() as port:
        for host in ("127.0.0.1", "localhost", "evil.test"):
            page.goto(f"http://{host}:{port}/")
            assert page.evaluate(STEAL, served.address) == "refused"
            page.evaluate(POST_FORM, f"{served.address}/pause")
            page.wait_for_url(f"{served.address}/pause")
            assert "refused" in page.inner_text("body")
    with served.device() as device:
        assert not device.paused
    page.close()


def add_files(page: Page, served: Served, files: list[Path]) -> None:
    """Clips from files, in one go."""
    page.goto(f"{served.address}/inbox")
    assert "1 clip waits for your word" in page.inner_text("main")
    page.set_input_files("#files", files)
    page.wait_for_selector(f"text={1 + len(files)} clips wait for your word")


def narrow(page: Page, served: Served) -> None:
    """Nothing sticks out at a phone's width, and everything to press is large enough."""
    wide = page.viewport_size
    assert wide is not None
    page.set_viewport_size({"width": 360, "height": 740})
    for path in ("live", "inbox", "users", "users/new", "ledger", "about", "welcome"):
        page.goto(f"{served.address}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert page.evaluate(SMALL) == [], path
    page.set_viewport_size(wide)
    page.goto(f"{served.address}/inbox")


SMALL = """() => [...document.querySelectorAll("button, a.button, .tabs a, summary, input")]
  .filter((each) => each.offsetParent && !each.closest(".unseen") && !each.matches(".unseen"))
  .filter((each) => each.offsetHeight < 24 || each.offsetWidth < 24)
  .map((each) => each.outerHTML)"""


def without_a_camera(page: Page, served: Served) -> None:
    """Each state is explained by a sentence."""
    states = {
        "NotAllowedError": "may not use the camera",
        "NotFoundError": "No camera was found",
        "NotReadableError": "in use by another program",
    }
    for name, text in states.items():
        page.goto(f"{served.address}/live")
        page.evaluate(
            "(name) => { navigator.mediaDevices.getUserMedia = "
            "async () => { throw new DOMException('', name); }; }",
            name,
        )
        page.click("#camera-on")
        page.wait_for_selector(f"text={text}")
        assert page.inner_text("#camera-on") == "Try again"


def review(page: Page, served: Served, album: Album, *, waiting: int) -> None:
    """The Inbox, by its keys; the corrections are counted."""
    album.keep(page, "inbox")
    for left in range(waiting, 0, -1):
        assert page.locator("[data-right]").count() == left
        page.keyboard.press("5")
        page.wait_for_selector("text=Noted as angry")
        page.locator("[data-right]").nth(left - 1).wait_for(state="detached")
    assert "All clips have your word" in page.inner_text("main")
    page.goto(f"{served.address}/users")
    count = 2 + waiting
    assert f"{count}, {count} with Ada’s word" in page.inner_text("main")


def learn(page: Page, served: Served, album: Album) -> None:
    page.click("text=Learn from corrections")
    page.wait_for_selector("[role=status]")
    said = page.inner_text("[role=status]")
    assert "Learned." in said or "Nothing new is in use" in said
    assert re.search(r"\d of \d+ before, \d now", said)
    page.wait_for_selector("text=What learning changed")
    album.keep(page, "people")


def forget(page: Page, served: Served) -> None:
    page.click("text=Forget …")
    page.wait_for_selector(f"text=Forget {NAME}?")
    page.click(f"button:has-text('Forget {NAME}')")
    page.wait_for_selector("text=Everything about this person is gone")
    with served.device() as device:
        assert device.users() == []
        assert device.inbox() == []
