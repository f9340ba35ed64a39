"""The commands on people and clips, on a real vault, with a recogniser that reads JSON."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cli import enrolling, opened, people
from cli.people_tables import release_lines
from client.daemon import socket as daemon_socket
from client.daemon.protocol import check_job
from client.recognition import recogniser as recognition
from client.vault.vault import unlock
from tests.cli.people_device import Mien
from tests.client.device.fakes import PASSPHRASE, YES, FakeRecogniser
from tests.client.device.test_device import ENTRY
from tests.client.device.test_fitting import damage


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[FakeRecogniser]:
    """Every recogniser that a command loads."""
    made: list[FakeRecogniser] = []

    def load(**networks: str) -> FakeRecogniser:
        made.append(FakeRecogniser(**networks))
        return made[-1]

    monkeypatch.setattr(recognition, "Recogniser", load)
    return made


@pytest.fixture
def mien(tmp_path: Path, loaded: list[FakeRecogniser]) -> Mien:
    return Mien(tmp_path)


def test_enrolling_needs_consent(mien: Mien, loaded: list[FakeRecogniser]) -> None:
    done = mien("enrol", "Ada", mien.clip())
    assert done.code == 2
    assert "nothing was stored: enrolling needs the consent" in done.err
    assert "What can't be called back" in done.err
    assert loaded == []
    assert mien.json("users") == []


@pytest.mark.parametrize(
    ("options", "federate"),
    [(("--agree",), False), (("--federate",), True), (("--agree", "--no-federate"), False)],
)
def test_consent_by_option(mien: Mien, options: tuple[str, ...], federate: bool) -> None:
    done = mien("enrol", "Ada", mien.clip(), *options)
    assert (done.code, done.out) == (0, "Ada is enrolled: 1 clip(s)\n")
    (user,) = mien.json("users")
    assert user["consent"]["federate"] is federate


@pytest.mark.parametrize(
    ("typed", "code", "federate"),
    [("y\ny\n", 0, True), ("y\nn\n", 0, False), ("n\n", 2, None), ("", 1, None)],
)
def test_consent_on_a_terminal(
    mien: Mien, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, federate: bool | None
) -> None:
    monkeypatch.setattr(enrolling, "on_terminal", lambda: True)
    assert mien("enrol", "Ada", mien.clip(), input=typed).code == code
    users = mien.json("users")
    assert [user["consent"]["federate"] for user in users] == (
        [] if federate is None else [federate]
    )


def test_more_clips_need_no_new_consent(mien: Mien) -> None:
    mien.enrol("Ada", "--federate")
    done = mien("enrol", "Ada", mien.clip("Ada", take=5), mien.clip("Ada", take=900))
    assert done.out == "Ada is known better: 1 clip(s), 1 known before\n"
    assert mien.json("users")[0]["consent"]["federate"] is True


def test_a_changed_mind_needs_no_clip(mien: Mien, loaded: list[FakeRecogniser]) -> None:
    mien.enrol("Ada", "--federate")
    count = len(loaded)
    assert "does not help" in mien("enrol", "Ada", "--no-federate").out
    assert mien.json("users")[0]["consent"]["federate"] is False
    assert len(loaded) == count
    for wrong in (("enrol", "Ada"), ("enrol", "Eve", "--agree"), ("enrol", "Eve", "--federate")):
        done = mien(*wrong)
        assert (done.code, "needs at least one clip" in done.err) == (2, True)


def test_a_missing_clip_is_named_before_anything_is_loaded(
    mien: Mien, loaded: list[FakeRecogniser]
) -> None:
    done = mien("enrol", "Ada", mien.clip(), "nowhere.mp4", "--agree")
    assert (done.code, loaded) == (2, [])
    assert "nowhere.mp4: the clip can't be read (No such file or directory)" in done.err


def test_recognising_says_who_what_and_why(mien: Mien, loaded: list[FakeRecogniser]) -> None:
    mien.enrol()
    known, guest = mien.clip("Ada", "sad", warnings=["it is dark"]), mien.clip("Bob", "happy")
    done = mien("recognise", known, guest)
    assert done.code == 0
    lines = done.out.splitlines()
    assert "sad" in lines[0]
    assert "51 %" in lines[0]
    assert lines[1].startswith("  user: Ada, distance 0.1")
    assert "kept as" in lines[1]
    assert lines[2].startswith("  head: backbone; this device has no universal head yet")
    assert lines[3] == "  careful: it is dark"
    assert lines[5].startswith("  user: unknown, distance 1.")
    assert "not kept" in lines[5]
    assert loaded[-1].closed
    assert loaded[-1].networks == {"backbone": "b"}


def test_a_broken_clip_is_named_and_the_others_go_on(mien: Mien) -> None:
    mien.enrol()
    clips = [mien.clip(broken=True), mien.clip(), "nowhere.mp4", mien.clip(take=1)]
    done = mien("recognise", *clips)
    assert done.code == 1
    assert done.out.count("user: Ada") == 2
    assert f"mien: {Path(clips[0]).name}: no face was found" in done.err
    assert "mien: nowhere.mp4: the clip can't be read" in done.err
    told = mien("recognise", *clips, "--json")
    assert told.code == 1
    answers = json.loads(told.out)
    assert [answer["user"] for answer in answers["answers"]] == ["Ada", "Ada"]
    assert [each["clip"] for each in answers["failed"]] == [Path(clips[0]).name, "nowhere.mp4"]


def test_nothing_is_kept_with_no_keep(mien: Mien) -> None:
    mien.enrol()
    assert mien.json("recognise", mien.clip(), "--no-keep")["answers"][0]["clip"] == ""
    assert mien.json("clips") == []


def test_a_clip_is_corrected_by_path_name_and_id(mien: Mien) -> None:
    mien.enrol()
    path = mien.clip()
    id = mien.json("recognise", path)["answers"][0]["clip"]
    for clip, expression in ((path, "sad"), (Path(path).name, "calm"), (id, "angry")):
        assert mien.json("correct", clip, expression)["clip"] == id
    done = mien("correct", id[:6], "happy")
    assert done.out == f"{Path(path).name}: happy confirmed; 1 new correction(s) of Ada\n"
    done = mien("correct", id, "--undo")
    assert "taken back; angry holds again" in done.out
    renamed = Path(path).rename(mien.clips / "another name.mp4")
    assert mien.json("correct", str(renamed), "sad")["clip"] == id
    assert "erased" in mien("correct", id, "--discard").out
    assert mien.json("clips") == []


@pytest.mark.parametrize(
    "arguments",
    [("x",), ("x", "sad", "--undo"), ("x", "--undo", "--discard"), ("x", "sad", "--discard")],
)
def test_correct_takes_one_thing(mien: Mien, arguments: tuple[str, ...]) -> None:
    done = mien("correct", *arguments)
    assert (done.code, "either an EXPRESSION, or --undo, or --discard" in done.err) == (2, True)


def test_correcting_says_when_it_is_time_to_learn(mien: Mien) -> None:
    mien.enrol()
    clips = [mien.clip(take=take) for take in range(3)]
    mien.json("recognise", *clips)
    outs = [mien("correct", clip, "sad").out for clip in clips]
    assert ["time for `mien personalise Ada`" in out for out in outs] == [False, False, True]


def test_clips_and_users_are_listed(mien: Mien) -> None:
    assert "no clips yet" in mien("clips").out
    assert "nobody is enrolled yet" in mien("users").out
    mien.enrol()
    mien.corrected()
    lines = mien("clips", "Ada", "--limit", "3").out.splitlines()
    assert len(lines) == 3
    assert "corrected to surprised" in lines[0]
    assert mien("clips", "Eve").code == 2
    told = mien("users").out
    assert "16, of them 16 with your word (8 corrected), 0 waiting" in told
    assert "16 new correction(s): time for `mien personalise Ada`" in told


def test_personalising_says_before_and_after(mien: Mien) -> None:
    mien.enrol()
    mien.corrected()
    waiting = mien.json("recognise", mien.clip("Ada", "happy", 77, own="sad"))["answers"][0]
    assert waiting["expression"] == "sad"
    told = mien("personalise", "Ada").out
    assert "Ada: personal head in use" in told
    assert "8 were right before and" in told
    assert "1 waiting clip(s) are answered differently now" in told
    assert "personal; personal head: 16 own clip(s)" in mien("users").out
    again = mien.json("personalise", "Ada")
    assert again["comparison"]["before"] == 8
    done = mien("personalise", "Eve")
    assert (done.code, "nobody is enrolled here as 'Eve'" in done.err) == (2, True)


def test_exporting_to_a_file_only_the_owner_reads(mien: Mien, tmp_path: Path) -> None:
    mien.enrol()
    out = tmp_path / "export.json"
    assert "not encrypted" in mien("export", "Ada", "--out", str(out)).out
    assert out.stat().st_mode & 0o777 == 0o600
    assert json.loads(out.read_text())["users"][0]["name"] == "Ada"
    assert mien.json("export", "--out", str(out), "--full") == {"out": str(out)}
    assert json.loads(mien("export").out)["users"][0]["name"] == "Ada"
    done = mien("export", "--out", str(tmp_path / "no" / "folder"))
    assert (done.code, "can't be written" in done.err) == (2, True)


def test_the_ledger_is_shown(mien: Mien) -> None:
    assert mien("ledger").out == "nothing has left this device\n"
    with mien.vault() as vault:
        vault.ledger.append(ENTRY)
    told = mien("ledger").out
    assert "f, round 2 (head): 300 bytes from 5 clips, clip norm none, noise none" in told
    assert "   user.bias  8  32 bytes" in told
    assert mien.json("ledger")[0]["round"] == 2
    assert release_lines([]) == []


def test_forgetting_is_whole_and_said(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    mien.enrol()
    mien.corrected()
    unasked = mien("forget", "Ada")
    assert (unasked.code, "add --yes" in unasked.err, len(mien.json("users"))) == (2, True, 1)
    done = mien("forget", "Ada", "--yes")
    assert done.code == 0
    assert "Ada is erased (16 clips, 1 gallery, 1 users)" in done.out
    assert "can't be called back" in done.out
    assert mien.json("users") == []
    mien.enrol()
    monkeypatch.setattr(people, "on_terminal", lambda: True)
    assert mien("forget", "Ada", input="n\n").code == 2
    assert len(mien.json("users")) == 1
    assert mien("forget", "Ada", input="y\n").code == 0
    mien.enrol()
    assert mien.json("forget", "Ada", "--yes")["left"] == 0


def test_without_a_device_or_key_one_sentence(mien: Mien, tmp_path: Path) -> None:
    done = mien("users", "--device", str(tmp_path / "none"))
    assert (done.code, "there is no device here" in done.err) == (2, True)
    done = mien("users", opening=False)
    assert (done.code, "the vault is locked" in done.err) == (1, True)
    (tmp_path / "passphrase").write_text("wrong")
    done = mien("users")
    assert (done.code, "does not open the vault" in done.err) == (1, True)


def test_damaged_rows_are_left_out_and_said(mien: Mien) -> None:
    mien.enrol()
    mien.json("recognise", mien.clip(take=1), mien.clip(take=2))
    with mien.vault() as vault:
        damage(vault, "clips", "label", "id", vault.clips()[0].id)
    done = mien("clips")
    assert (done.code, len(done.out.splitlines())) == (0, 1)
    assert "1 damaged row(s) of the vault were left out; `mien device check` names" in done.err
    assert mien("ledger").err == ""


def test_names_can_not_write_on_the_terminal(mien: Mien) -> None:
    path = mien.clips / "a\x1b[31mred\nline.mp4"
    Path(mien.clip()).rename(path)
    mien.enrol()
    done = mien("recognise", str(path))
    assert "\x1b" not in done.out
    assert done.out.startswith("a\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}line.mp4")
    broken = mien.clips / "b\x1b[31m.mp4"
    broken.write_text("{}x")
    done = mien("recognise", str(broken))
    assert (done.code, "\x1b" in done.err) == (1, False)


class FakeDaemon:
    """`client.daemon.socket.Remote` that notes its jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    jobs: ClassVar[list[dict[str, Any]]] = []
    running = True

    async def run(self, job: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.jobs.append(check_job(job))
        return {}


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch, mien: Mien) -> type[FakeDaemon]:
    key = unlock(mien.device, PASSPHRASE)
    monkeypatch.setattr(daemon_socket, "data_key", lambda folder: key)
    monkeypatch.setattr(daemon_socket, "Remote", FakeDaemon)
    FakeDaemon.jobs = []
    return FakeDaemon


def test_a_running_daemon_gets_the_heavy_jobs_and_opens_the_vault(
    mien: Mien, daemon: type[FakeDaemon], loaded: list[FakeRecogniser]
) -> None:
    clip = mien.clip()

    def act(do: Callable[[opened.Engine], Any]) -> None:
        with mien.vault() as vault, opened.engine_of(vault) as engine:
            do(engine)

    act(lambda engine: engine.recognise(Path(clip), keep=False))
    act(lambda engine: engine.enrol("Ada", [Path(clip)], YES))
    act(lambda engine: engine.personalise("Ada"))
    assert [job["do"] for job in daemon.jobs] == ["recognise", "enrol", "personalise"]
    assert daemon.jobs[0]["path"] == clip
    assert daemon.jobs[0]["keep"] is False
    assert daemon.jobs[1]["paths"] == [clip]
    assert loaded == []
    assert mien("users", opening=False).code == 0


def test_what_is_no_file_is_neither_read_nor_replaced(mien: Mien, tmp_path: Path) -> None:
    """A pipe would keep the worker waiting, and an export would put a file in its place."""
    mien.enrol()
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    looked = mien("recognise", str(pipe))
    assert (looked.code, "it is no file" in looked.err) in ((1, True), (2, True))
    written = mien("export", "--out", str(pipe))
    assert (written.code, "is no file" in written.err) == (2, True)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
