"""Programs that are started and ended: none is left, and one that does not start says why."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import WorkError
from common.processes import await_port, end_session, free_port, last_words, start


def run(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    log = folder / "log"
    return start(command, log=log, folder=folder, environment={"PATH": os.environ["PATH"]})


def is_running(pid: int) -> bool:
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(told.stdout.strip()) and not told.stdout.startswith("Z")


def test_the_end_of_a_session_leaves_no_process(tmp_path: Path) -> None:
    """Children that ignore SIGTERM, or left their parent, are ended too."""
    script = "trap '' TERM; (trap '' TERM; sleep 300 & echo $! > child; wait) & sleep 300"
    process = run(tmp_path, "sh", "-c", script)
    deadline = time.monotonic() + 20
    while not (tmp_path / "child").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int((tmp_path / "child").read_text())
    assert is_running(child)
    end_session(process, patience=0.3)
    assert not is_running(child)


def test_what_a_program_says_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    run(tmp_path, "sh", "-c", "echo said; echo failed >&2").wait()
    assert (tmp_path / "log").read_text() == "said\nfailed\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_program_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    process = run(tmp_path, "sh", "-c", "echo no such thing; exit 3")
    with pytest.raises(WorkError, match="the thing did not start: no such thing"):
        await_port(free_port(), process, name="the thing", log=tmp_path / "log", patience=20)


def test_a_program_that_listens_is_found(tmp_path: Path) -> None:
    port = free_port()
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    process = run(tmp_path, sys.executable, "-c", code)
    try:
        await_port(port, process, name="it", log=tmp_path / "log", patience=20)
    finally:
        end_session(process)


def test_a_missing_or_silent_log_is_no_error(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none") == "it left no log"
    (tmp_path / "silent").touch()
    assert last_words(tmp_path / "silent") == "it said nothing"
