"""Which files of a watched folder are taken, and when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from client.daemon.inbox import REREAD_SECONDS, Inbox, is_being_written
from common.errors import WorkError

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leases are Linux's")
SETTLE = 2.0


class Watched:
    """An inbox whose clock is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.inbox = Inbox(folder, settle=SETTLE)
        self.now = 100.0

    def look(self, after: float = 1.0) -> list[str]:
        self.now += after
        return [found.path.name for found in self.inbox.look(self.now)]

    def look_until_settled(self) -> list[str]:
        return [name for _ in range(4) for name in self.look()]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def put(folder: Path, name: str, content: bytes = b"clip", changed: float = 0.0) -> Path:
    path = folder / name
    path.write_bytes(content)
    if changed:
        os.utime(path, (changed, changed))
    return path


def test_a_file_is_told_of_once_when_it_has_settled(watched: Watched, tmp_path: Path) -> None:
    put(tmp_path, "a.mp4")
    assert watched.look() == []
    assert watched.inbox.waiting == 1
    assert watched.look() == []
    assert watched.look() == ["a.mp4"]
    assert [watched.look(7.0) for _ in range(12)] == [[]] * 12


def test_a_file_that_grows_is_waited_for(watched: Watched, tmp_path: Path) -> None:
    path = put(tmp_path, "a.mp4", b"")
    for size in range(1, 6):
        with path.open("ab") as file:
            file.write(b"x" * size)
        assert watched.look(1.5) == []
    assert watched.look_until_settled() == ["a.mp4"]


def test_an_empty_file_is_waited_for(watched: Watched, tmp_path: Path) -> None:
    path = put(tmp_path, "a.mp4", b"")
    assert watched.look_until_settled() == []
    path.write_bytes(b"x")
    assert watched.look_until_settled() == ["a.mp4"]


@linux
def test_a_file_that_somebody_writes_to_is_not_taken(watched: Watched, tmp_path: Path) -> None:
    path = put(tmp_path, "a.mp4")
    assert not is_being_written(path)
    with path.open("ab"):
        assert is_being_written(path)
        assert watched.look_until_settled() == []
    assert not is_being_written(path)
    assert watched.look() == ["a.mp4"]


@linux
def test_a_file_is_not_taken_while_another_process_copies_it(
    watched: Watched, tmp_path: Path
) -> None:
    program = "import sys; f = open(sys.argv[1], 'wb'); f.write(b'x'); f.flush(); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a.mp4")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as copying:
        assert copying.stdout is not None
        copying.stdout.readline()
        assert watched.look_until_settled() == []
        copying.communicate(b"\n")
    assert watched.look() == ["a.mp4"]


def test_the_oldest_is_first(watched: Watched, tmp_path: Path) -> None:
    for name, changed in (("b.mp4", 2e9), ("c.mp4", 1e9), ("a.mp4", 1.5e9)):
        put(tmp_path, name, changed=changed)
    assert watched.look_until_settled() == ["c.mp4", "a.mp4", "b.mp4"]


def test_a_changed_file_is_taken_again_even_where_its_folder_tells_nothing(
    watched: Watched, tmp_path: Path
) -> None:
    path = put(tmp_path, "a.mp4")
    assert watched.look_until_settled() == ["a.mp4"]
    path.write_bytes(b"another clip")
    assert watched.look(REREAD_SECONDS) == []
    assert watched.look_until_settled() == ["a.mp4"]


def test_a_file_that_could_not_be_worked_on_is_told_of_again(
    watched: Watched, tmp_path: Path
) -> None:
    path = put(tmp_path, "a.mp4")
    assert watched.look_until_settled() == ["a.mp4"]
    watched.inbox.take_again(path)
    assert watched.look_until_settled() == ["a.mp4"]


def test_what_is_no_clip_is_left_alone_or_named(watched: Watched, tmp_path: Path) -> None:
    for name in (".hidden.mp4", "a.mp4.part", "a.crdownload", "~a.mp4", "b.tmp"):
        put(tmp_path, name)
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "nowhere.mp4").symlink_to(tmp_path / "missing")
    put(tmp_path, "notes.txt")
    put(tmp_path, "README")
    watched.look(), watched.look()
    found = {each.path.name: each.reason for each in watched.inbox.look(watched.now + 1)}
    assert set(found) == {"notes.txt", "README"}
    assert "its name ends in .txt, expected one of .avi" in found["notes.txt"]
    assert "its name has no ending" in found["README"]


def test_a_folder_may_come_go_and_be_unreadable(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    watched = Watched(folder)
    assert watched.look() == []
    folder.mkdir()
    put(folder, "a.mp4")
    assert watched.look_until_settled() == ["a.mp4"]
    (folder / "a.mp4").unlink()
    folder.rmdir()
    assert watched.look_until_settled() == []
    folder.write_text("a file now")
    with pytest.raises(WorkError, match="the inbox can't be read"):
        watched.look()


def test_a_resting_inbox_is_not_read(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        put(tmp_path, f"{number}.mp4")
    assert len(watched.look_until_settled()) == 20
    watched.look(2 * SETTLE)
    read = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (read.append(path), real(path))[1])
    for _ in range(10):
        watched.look(1.0)
    assert read == []
    watched.look(REREAD_SECONDS)
    assert read == [tmp_path]
