"""Clips that come in pieces, and the answers on the way back."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from client.web import recordings
from client.web.recording_routes import job_of
from client.web.recordings import LARGEST_PIECE, MOST_AT_ONCE
from common.errors import UsageError
from tests.client.web.fakes import FakeJobs, Visitor, answer, lost

ENROL = {"do": "enrol", "user": "Cleo", "agreed": True, "federate": False}


def begin(visitor: Visitor, **job: Any) -> str:
    told = visitor.send("POST", "/recordings", json=job or {"do": "recognise"})
    assert told.status_code == 201, told.text
    return str(told.json()["id"])


def put(visitor: Visitor, id: str, number: int, piece: bytes, *, last: bool = False) -> int:
    path = f"/recordings/{id}?piece={number}&last={int(last)}"
    return visitor.send("PUT", path, content=piece).status_code


def poll(visitor: Visitor, id: str, seen: int = 0) -> dict[str, Any]:
    told = visitor.get(f"/recordings/{id}?seen={seen}", html=False)
    assert told.status_code == 200, told.text
    found: dict[str, Any] = told.json()
    return found


def to_the_end(visitor: Visitor, id: str) -> dict[str, Any]:
    told = poll(visitor, id)
    while not told["done"]:
        told = poll(visitor, id, told["seen"])
    return told


def test_answers_come_while_the_clip_is_still_recorded(visitor: Visitor, jobs: FakeJobs) -> None:
    jobs.events = [
        answer(final=False, confidence=share, moments=1).to_json() for share in (0.2, 0.5)
    ]
    id = begin(visitor)
    put(visitor, id, 0, b"one")
    first = poll(visitor, id)
    assert (first["done"], first["answer"]["percent"]) == (False, 20)
    put(visitor, id, 1, b"two")
    second = poll(visitor, id, first["seen"])
    assert (second["done"], second["answer"]["percent"]) == (False, 50)
    put(visitor, id, 2, b"three", last=True)
    final = to_the_end(visitor, id)
    assert (final["result"]["expression"], final["result"]["percent"]) == ("happy", 80)
    ((job, content),) = jobs.taken
    assert content == b"onetwothree"
    assert (job["do"], job["path"], job["keep"]) == ("recognise", None, True)
    assert job["name"].startswith("camera ")


def test_an_empty_last_piece_ends_a_clip(visitor: Visitor, jobs: FakeJobs) -> None:
    id = begin(visitor, do="recognise", name="holiday.mp4")
    put(visitor, id, 0, b"all of it")
    assert put(visitor, id, 1, b"", last=True) == 200
    assert to_the_end(visitor, id)["error"] == ""
    assert (jobs.taken[0][0]["name"], jobs.taken[0][1]) == ("holiday.mp4", b"all of it")


@pytest.mark.parametrize("numbers", [(1,), (0, 0), (0, 2), (0, 1, 1)])
def test_pieces_that_are_lost_or_doubled_are_noticed(
    visitor: Visitor, numbers: tuple[int, ...]
) -> None:
    id = begin(visitor)
    codes = [put(visitor, id, number, b"x") for number in numbers]
    assert codes == [200] * (len(numbers) - 1) + [400]
    visitor.send("DELETE", f"/recordings/{id}")


def test_nothing_comes_after_the_last_piece(visitor: Visitor) -> None:
    id = begin(visitor)
    assert put(visitor, id, 0, b"x", last=True) == 200
    assert put(visitor, id, 1, b"x") == 400


def test_a_piece_has_a_largest_size(visitor: Visitor) -> None:
    id = begin(visitor)
    assert put(visitor, id, 0, b"x" * (LARGEST_PIECE + 1)) == 413
    assert put(visitor, id, 0, b"x" * LARGEST_PIECE) == 200
    visitor.send("DELETE", f"/recordings/{id}")


def test_a_clip_has_a_largest_size(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "LARGEST_CLIP", 2 * 1024 * 1024)
    id = begin(visitor)
    for number in range(2):
        assert put(visitor, id, number, b"x" * LARGEST_PIECE) == 200
    told = visitor.send("PUT", f"/recordings/{id}?piece=2", content=b"x")
    assert told.status_code == 400
    assert "larger than 2 MB" in told.json()["error"]
    assert to_the_end(visitor, id)["error"]


def test_a_failure_is_one_sentence(visitor: Visitor, jobs: FakeJobs) -> None:
    jobs.error = lost()
    id = begin(visitor)
    put(visitor, id, 0, b"x", last=True)
    told = to_the_end(visitor, id)
    assert told["error"] == "The worker ended before the job was done; please try again."
    assert told["result"] is None


def test_pieces_for_a_worker_that_gave_up_do_not_hang(visitor: Visitor, jobs: FakeJobs) -> None:
    jobs.unreadable = True
    id = begin(visitor)
    for number in range(40):
        assert put(visitor, id, number, b"x") == 200
    assert to_the_end(visitor, id)["error"] == "clip.mp4: this is no video."


def test_a_defect_in_a_worker_tells_no_details(visitor: Visitor, jobs: FakeJobs) -> None:
    jobs.error = RuntimeError("secret detail")
    id = begin(visitor)
    put(visitor, id, 0, b"x", last=True)
    assert to_the_end(visitor, id)["error"] == "Mien could not finish this clip. Please try again."


def test_only_so_many_at_once(visitor: Visitor) -> None:
    ids = [begin(visitor) for _ in range(MOST_AT_ONCE)]
    told = visitor.send("POST", "/recordings", json={"do": "recognise"})
    assert told.status_code == 400
    assert "still busy" in told.json()["error"]
    visitor.send("DELETE", f"/recordings/{ids[0]}")
    assert begin(visitor)


def test_a_recording_that_was_left_is_gone(visitor: Visitor, jobs: FakeJobs) -> None:
    id = begin(visitor)
    put(visitor, id, 0, b"x")
    visitor.send("DELETE", f"/recordings/{id}")
    assert put(visitor, id, 1, b"x", last=True) == 404
    assert visitor.get(f"/recordings/{id}").status_code == 404
    assert jobs.taken == []


def test_a_page_that_was_closed_frees_the_worker(
    visitor: Visitor, jobs: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "GONE_SECONDS", 0.2)
    closed = [begin(visitor) for _ in range(MOST_AT_ONCE)]
    for id in closed:
        put(visitor, id, 0, b"x")
    time.sleep(0.6)  # nobody asks for the answer
    assert begin(visitor)
    assert poll(visitor, closed[0])["error"] == "The page was closed before its clip had ended."
    assert jobs.taken == []


def test_a_page_that_asks_is_there_though_it_sends_nothing(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "GONE_SECONDS", 0.2)
    monkeypatch.setattr(recordings, "LONGEST_WAIT", 0.6)
    id = begin(visitor)
    put(visitor, id, 0, b"x")
    assert poll(visitor, id)["error"] == ""
    put(visitor, id, 1, b"y", last=True)
    assert to_the_end(visitor, id)["error"] == ""


def test_finished_recordings_are_not_kept_for_ever(visitor: Visitor) -> None:
    ids = []
    for _ in range(3 * MOST_AT_ONCE):
        ids.append(begin(visitor))
        put(visitor, ids[-1], 0, b"x", last=True)
        to_the_end(visitor, ids[-1])
    codes = [visitor.get(f"/recordings/{id}").status_code for id in ids]
    assert codes[0] == 404
    assert codes.count(200) <= MOST_AT_ONCE + 1


def test_enrolling_needs_consent_and_tells_what_was_agreed(
    visitor: Visitor, jobs: FakeJobs
) -> None:
    jobs.result = {"user": "Cleo", "new": True, "warnings": ["clip 1: it is dark"]}
    for refused in ({"agreed": False}, {"agreed": "yes"}, {"agreed": 1}, {"user": " "}):
        told = visitor.send("POST", "/recordings", json={**ENROL, **refused})
        assert told.status_code == 400
    id = begin(visitor, **{**ENROL, "federate": True})
    put(visitor, id, 0, b"face", last=True)
    assert to_the_end(visitor, id)["result"] == {
        "user": "Cleo",
        "sentence": "Cleo is enrolled. Clip 1: it is dark.",
    }
    ((job, _),) = jobs.taken
    assert (job["user"], job["paths"], job["consent"]["federate"]) == ("Cleo", None, True)
    assert set(job["consent"]) == {"version", "given", "federate"}


def test_a_guest_is_told_so(visitor: Visitor, jobs: FakeJobs) -> None:
    jobs.result = answer(user="unknown").to_json()
    id = begin(visitor)
    put(visitor, id, 0, b"x", last=True)
    result = to_the_end(visitor, id)["result"]
    assert (result["clip"], result["who"]) == ("", "Guest")
    assert result["why"] == "A guest, read as for everyone"


@pytest.mark.parametrize(
    "job",
    [
        {},
        {"do": "personalise", "user": "Ada"},
        {"do": "recognise", "path": "/etc/passwd"},
        {"do": "enrol", "paths": ["/etc/passwd"], "user": "x", "agreed": True},
        {"do": ["recognise"]},
        {"do": "stop"},
        {"do": "data-key"},
        {"do": "recognise", "keep": False},
        [],
        "recognise",
        None,
    ],
)
def test_only_two_jobs_can_be_asked_for_and_no_paths(job: Any) -> None:
    with pytest.raises(UsageError):
        job_of(json.dumps(job).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"do": "recognise"'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError):
        job_of(body)


def test_a_form_where_a_clip_belongs_is_refused_at_once(visitor: Visitor) -> None:
    assert visitor.post("/recordings", do="recognise").status_code == 400


def test_a_clip_s_name_is_cleaned() -> None:
    job = job_of(json.dumps({"do": "recognise", "name": "a\0b\n\u202e" + "x" * 500}).encode())
    assert job["name"] == "ab" + "x" * 198
