"""Programs that are started and ended: none is left, and one that does not start says why."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import WorkError
from common.processes import (
    await_port,
    complaint,
    end_session,
    free_port,
    last_words,
    start,
)


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


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_program_that_listens_is_found_where_it_listens(tmp_path: Path, host: str) -> None:
    port = free_on(host)
    code = (
        "import socket, time\n"
        f"family = socket.AF_INET6 if ':' in {host!r} else socket.AF_INET\n"
        f"kept = socket.create_server(({host!r}, {port}), family=family)\n"
        "time.sleep(60)"
    )
    process = run(tmp_path, sys.executable, "-S", "-c", code)
    try:
        await_port(port, process, name="it", log=tmp_path / "log", patience=20, host=host)
    finally:
        end_session(process)


def free_on(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        return int(probe.getsockname()[1])


def test_another_address_is_not_taken_for_the_one_that_is_awaited(tmp_path: Path) -> None:
    process = run(tmp_path, "sleep", "60")
    try:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(WorkError, match="it did not start"):
                await_port(
                    port, process, name="it", log=tmp_path / "log", patience=0.3, host="127.0.0.2"
                )
    finally:
        end_session(process)


def test_a_checking_program_is_content_complains_or_takes_too_long() -> None:
    assert complaint(["true"], patience=20) is None
    assert complaint(["sh", "-c", "echo no >&2; echo way >&2; exit 1"], patience=20) == "no way"
    assert complaint(["sleep", "20"], patience=0.05) == (
        "it was not done within 0.05 s, as where no name server answers"
    )


def test_a_missing_or_silent_log_is_no_error(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none") == "it left no log"
    (tmp_path / "silent").touch()
    assert last_words(tmp_path / "silent") == "it said nothing"
