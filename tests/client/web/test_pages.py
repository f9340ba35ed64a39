"""Pages and forms, without a script."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from client.device.budget import note_declined
from client.device.device import Device
from client.device.texts import CONSENT_TEXT
from client.web.guard import HEADERS
from client.web.static_files import FOLDER, KINDS
from client.web.views import refusals_view
from tests.client.web.fakes import (
    FakeJobs,
    Visitor,
    clip,
    lost,
    person,
    personal_head,
    release,
)

PAGES = ("/live", "/inbox", "/users", "/users/new", "/ledger", "/about", "/welcome")
VOID = {"meta", "link", "input", "br", "path", "rect", "line"}
NASTY = "<script>alert(1)</script>\"'{{7*7}}"


class Reader(HTMLParser):
    """Text, attributes and unclosed elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def read(visitor: Visitor, path: str) -> Reader:
    answer = visitor.get(path)
    assert answer.status_code == 200, answer.text
    return Reader(answer.text)


def ids(device: Device) -> list[str]:
    return [row["id"] for row in device.inbox()]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_well_formed_and_self_contained(visitor: Visitor, path: str) -> None:
    page = read(visitor, path)
    assert page.open == []
    assert sum(tag == "h1" for tag, _ in page.tags) == 1
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style"
            if name in ("src", "href", "action", "formaction"):
                assert value is not None
                assert value.startswith(("/", "#")), (tag, value)
                assert not value.startswith("//")
        if tag == "script":
            assert attributes.get("src")


@pytest.mark.parametrize("path", PAGES)
def test_every_control_has_a_name_and_every_id_is_unique(visitor: Visitor, path: str) -> None:
    html = visitor.get(path).text
    page = Reader(html)
    found = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(found) == len(set(found))
    labelled = {attributes.get("for") for tag, attributes in page.tags if tag == "label"}
    inside = re.findall(r"<label[^>]*>[^§]*?</label>", html)
    for tag, attributes in page.tags:
        if tag == "input" and attributes.get("type") != "hidden":
            named = attributes.get("id") in labelled or "aria-label" in attributes
            assert named or any(f'id="{attributes["id"]}"' in label for label in inside)


@pytest.mark.parametrize("path", PAGES)
def test_forms_that_post_carry_the_secret(visitor: Visitor, path: str) -> None:
    forms = re.findall(r"<form[^>]*method=\"post\".*?</form>", visitor.get(path).text, re.DOTALL)
    assert all('name="csrf"' in form for form in forms)


def test_first_start_explains_and_later_live_opens(
    empty: Device, jobs: FakeJobs, visitor: Visitor
) -> None:
    with Visitor(empty, jobs) as first:
        words = read(first, "/").words
    assert "What is stored" in words
    assert "What leaves this device" in words
    assert "What can't be called back" in words
    assert visitor.get("/").headers["location"] == "/live"


@pytest.mark.parametrize("path", PAGES)
def test_pages_of_an_unused_device(empty: Device, jobs: FakeJobs, path: str) -> None:
    with Visitor(empty, jobs) as first:
        assert read(first, path).words


def test_the_inbox_shows_unsure_clips_first(visitor: Visitor) -> None:
    words = read(visitor, "/inbox").words
    assert "4 clips wait for your word" in words
    order = [words.index(name) for name in ("clip 1.mp4", "clip 2.mp4", "Sad 80 %", "90 %")]
    assert order == sorted(order)
    assert words.count("Unsure") == 1
    assert "It is rather dark." in words


def test_the_inbox_of_one_person(visitor: Visitor, device: Device) -> None:
    bo = next(row["id"] for row in device.users() if row["name"] == "Bo")
    words = read(visitor, f"/inbox?user={bo}").words
    assert "1 clip waits" in words
    assert "Happy 90 %" not in words
    assert visitor.get("/inbox?user=nobody").status_code == 400


def test_confirm_correct_and_take_back(visitor: Visitor, device: Device) -> None:
    first, second, *_ = ids(device)
    answer = visitor.post(f"/clips/{first}/label", expression="happy")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/inbox?marked={first}")
    assert "Noted as happy: clip 1.mp4." in read(visitor, answer.headers["location"]).words
    visitor.post(f"/clips/{second}/label", expression="sad")
    words = read(visitor, "/inbox").words
    assert "Mien was right" in words
    assert "Mien said happy, 60 %" in words
    assert "2 clips wait" in words
    answer = visitor.post(f"/clips/{second}/undo")
    assert "Taken back" in read(visitor, answer.headers["location"]).words
    row = device.clip(second)
    assert row is not None
    assert row["label"] is None


def test_the_script_gets_the_same_as_json(visitor: Visitor, device: Device) -> None:
    first, second, third, *_ = ids(device)
    told = visitor.post(f"/clips/{first}/label", json=True, expression="sad").json()
    assert told["sentence"] == "Thank you. Noted as sad. 1 answer of yours to learn from."
    assert (told["due"], told["user"], told["corrections"]) == (False, "Ada", 1)
    visitor.post(f"/clips/{first}/label", json=True, expression="calm")
    back = visitor.post(f"/clips/{first}/undo", json=True).json()
    assert back == {"sentence": "Taken back. It counts as sad again.", "expression": "sad"}
    for each in (second, third):
        told = visitor.post(f"/clips/{each}/label", json=True, expression="happy").json()
    assert told["due"] in (True, False)


def test_enough_corrections_offer_to_learn(visitor: Visitor, device: Device) -> None:
    mine = [row["id"] for row in device.inbox(user="Ada")]
    for each in mine:
        told = visitor.post(f"/clips/{each}/label", json=True, expression="sad").json()
    assert told["due"] is True
    assert "Ada has 3 new corrections to learn from." in read(visitor, "/inbox").words


@pytest.mark.parametrize("expression", ["", "joy", "Happy", "0", NASTY])
def test_other_expressions_are_refused(visitor: Visitor, device: Device, expression: str) -> None:
    answer = visitor.post(f"/clips/{ids(device)[0]}/label", expression=expression)
    assert answer.status_code == 400
    assert "one of the eight expressions" in answer.text


@pytest.mark.parametrize(
    "path", ["/clips/%00/label", f"/clips/{'0' * 32}/undo", "/clips/clip/undo"]
)
def test_clips_that_are_not_there(visitor: Visitor, path: str) -> None:
    assert visitor.post(path, expression="sad").status_code == 404


def test_nothing_to_take_back_is_one_sentence(visitor: Visitor, device: Device) -> None:
    answer = visitor.post(f"/clips/{ids(device)[0]}/undo", json=True)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith("there is no correction to take back.")


def test_a_clip_of_somebody_else_is_erased(visitor: Visitor, device: Device) -> None:
    first = ids(device)[0]
    assert visitor.post(f"/clips/{first}/discard").status_code == 303
    assert first not in ids(device)


def test_people_and_what_learning_changed(visitor: Visitor, device: Device) -> None:
    ada = device.vault.user("Ada")
    assert ada is not None
    personal_head(device.vault, ada)
    words = read(visitor, "/users").words
    assert "Before 4 of 9 After 8 of 9" in words
    assert "this may still be chance" in words
    assert "Read in Ada’s own way" in words
    assert "what they taught is in use" in words
    assert "Read as for everyone so far" in words


def test_enrolment_shows_the_consent_text(visitor: Visitor) -> None:
    page = read(visitor, "/users/new")
    plain = " ".join(CONSENT_TEXT.replace("`", "").split())
    shown = page.words.replace("  ", " ")
    for sentence in re.split(r"(?<=[.:;])\s", plain):
        assert sentence.lstrip("- ").split(":")[0].strip(" .;") in shown
    boxes = {a["id"]: a for tag, a in page.tags if tag == "input" and a.get("type") == "checkbox"}
    assert set(boxes) == {"agreed", "federate"}
    assert "required" in boxes["agreed"]
    assert "required" not in boxes["federate"]
    assert not any("checked" in each for each in boxes.values())


def test_personalising_tells_what_changed(visitor: Visitor, jobs: FakeJobs) -> None:
    jobs.result = {
        "user": "Ada",
        "head": "personal",
        "personal": True,
        "reason": "9 clips bear it out",
        "comparison": {
            "clips": 9,
            "before": 4,
            "after": 8,
            "better": 4,
            "worse": 0,
            "chance": 0.1,
            "sentence": "...",
        },
        "answers_changed": 2,
    }
    said = visitor.post("/users/personalise", json=True, name="Ada").json()["sentence"]
    assert "4 of 9 before, 8 now" in said
    assert "2 waiting clips have a new answer" in said
    assert said in Reader(visitor.post("/users/personalise", name="Ada").text).words
    assert [job for job, _ in jobs.taken] == [{"do": "personalise", "user": "Ada"}] * 2


def test_a_worker_that_fails_is_one_sentence(visitor: Visitor, jobs: FakeJobs) -> None:
    jobs.error = lost()
    answer = visitor.post("/users/personalise", name="Ada")
    assert answer.status_code == 409
    words = Reader(answer.text).words
    assert "The worker ended before the job was done; please try again." in words
    assert "Traceback" not in answer.text


def test_taking_part_is_a_choice_of_its_own(visitor: Visitor, device: Device) -> None:
    answer = visitor.post("/users/consent", name="Ada", federate="no")
    assert "nothing more is shared" in read(visitor, answer.headers["location"]).words
    visitor.post("/users/consent", name="Bo", federate="yes")
    assert {row["name"]: row["consent"]["federate"] for row in device.users()} == {
        "Ada": False,
        "Bo": True,
    }
    assert visitor.post("/users/consent", name="Bo", federate="maybe").status_code == 400


def test_forgetting_asks_first(visitor: Visitor, device: Device) -> None:
    asked = Reader(visitor.post("/users/forget", name="Ada").text)
    assert "Forget Ada?" in asked.words
    assert "3 clips" in asked.words
    assert "can’t be called back" in asked.words
    assert [row["name"] for row in device.users()] == ["Ada", "Bo"]
    visitor.post("/users/forget", name="Ada", sure="yes")
    assert [row["name"] for row in device.users()] == ["Bo"]
    assert "Ada" not in read(visitor, "/inbox").words
    assert visitor.post("/users/forget", name="Ada", sure="yes").status_code == 404


def test_what_left_is_listed_with_totals(visitor: Visitor, device: Device) -> None:
    assert "Nothing has left this device so far." in read(visitor, "/ledger").words
    for number in range(3):
        release(device.vault, number)
    words = read(visitor, "/ledger").words
    assert "Times sent 3" in words
    assert "Altogether 6 kB" in words
    assert "With noise 2 of 3" in words
    assert "weight 8 × 3, 96 bytes" in words
    assert words.index("Change of the shared part") < words.index("Coarse centre and spread")


def test_learning_from_too_few_clips_is_said(visitor: Visitor) -> None:
    answer = visitor.post("/users/personalise", name="Ada")
    assert answer.status_code == 200
    assert "Nothing new is in use for Ada yet." in answer.text


def test_what_was_refused_is_listed_newest_first(visitor: Visitor, device: Device) -> None:
    assert "said no to" not in read(visitor, "/ledger").words
    note_declined(device.vault, "round 4", "it would tell <b>too</b> much")
    words = read(visitor, "/ledger").words
    assert "What this device said no to" in words
    assert "round 4 it would tell <b>too</b> much" in words


def test_refusals_of_releases_and_of_rounds_stand_together() -> None:
    def told(about: str, at: str) -> dict[str, str]:
        return {"about": about, "text": "no", "at": at}

    releases = [told("release 1", "2025-01-01T00:00:00"), told("release 2", "2025-01-03T00:00:00")]
    declined = told("round 7", "2025-01-02T00:00:00")
    status = {"fleet": {"refusals": releases}, "exposure": {"declined": declined}}
    assert [each["what"] for each in refusals_view(status)] == ["release 2", "round 7", "release 1"]


def test_taking_part_can_be_paused(visitor: Visitor, device: Device) -> None:
    answer = visitor.post("/pause", paused="yes")
    assert device.paused
    assert "Taking part is paused." in read(visitor, answer.headers["location"]).words
    visitor.post("/pause", paused="no")
    assert not device.paused
    assert visitor.post("/pause", paused="").status_code == 400


@pytest.mark.parametrize("path", PAGES)
def test_names_are_never_markup(visitor: Visitor, device: Device, path: str) -> None:
    clip(device.vault, person(device.vault, NASTY), 0)
    page = read(visitor, path)
    assert not any(tag == "script" and "src" not in a for tag, a in page.tags)
    assert "49" not in [word.strip("'\"") for word in page.words.split()]
    assert page.open == []


def test_a_defect_is_one_sentence_too(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Device) -> list[dict[str, object]]:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Device, "users", broken)
    answer = visitor.get("/users")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "Something went wrong inside Mien" in answer.text
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_no_such_page(visitor: Visitor) -> None:
    answer = visitor.get("/nowhere")
    assert answer.status_code == 404
    assert "There is nothing here." in Reader(answer.text).words
    assert visitor.get("/nowhere", html=False).json() == {"error": "There is nothing here."}


@pytest.mark.parametrize(
    "name",
    [
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "....//app.py",
        "..%5capp.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "style.css%00",
        "style.css/",
        "STYLE.CSS",
        "",
        "html/base.html",
    ],
)
def test_static_files_are_those_of_the_list_and_no_others(visitor: Visitor, name: str) -> None:
    assert visitor.get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize("name", sorted(KINDS))
def test_static_files_are_served(visitor: Visitor, name: str) -> None:
    answer = visitor.get(f"/static/{name}")
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["content-type"] == KINDS[name]


def test_the_list_of_static_files_is_complete() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(KINDS)


def test_scripts_and_styles_name_no_other_computer() -> None:
    for path in [*FOLDER.glob("*.js"), *FOLDER.glob("*.css")]:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert not re.search(r"https?:|//[a-z0-9.]+/|@import|url\(|innerHTML|eval\(", text), path
        assert len(text.splitlines()) <= 400
