"""What a server that was killed, also while it started, left running is ended; nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.processes import command_line, end_session, start
from server.fleet import service as service_module
from server.fleet.service import PROGRAMS_FILE, Service, ServiceSettings, end_leftovers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "fleet/service"
    found.mkdir(parents=True)
    return found


@pytest.fixture
def began(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        end_session(process)


def sleeper(about: Path, log: Path) -> subprocess.Popen[bytes]:
    """A program whose command line names a path."""
    command = ["sh", "-c", "sleep 60; true", "sh", str(about)]
    return start(command, log=log, folder=log.parent, environment=dict(os.environ))


def test_only_the_fleets_own_programs_are_ended(
    folder: Path, tmp_path: Path, began: list[subprocess.Popen[bytes]]
) -> None:
    names = {
        "own": folder / "proxy/nginx.conf",
        "of another fleet whose name begins alike": tmp_path / "fleet-2/service/proxy/nginx.conf",
    }
    began += [sleeper(about, tmp_path / "log") for about in names.values()]
    pids = {name: process.pid for name, process in zip(names, began, strict=True)}
    (folder / PROGRAMS_FILE).write_text(json.dumps({**pids, "long gone": 2**22 - 1}))
    end_leftovers(folder)
    own, other = began
    assert own.wait(10) != 0
    assert other.poll() is None
    assert not (folder / PROGRAMS_FILE).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"superlink": null}'])
def test_a_damaged_list_ends_nothing(folder: Path, content: str) -> None:
    (folder / PROGRAMS_FILE).write_text(content)
    end_leftovers(folder)
    end_leftovers(folder)


def test_programs_are_on_the_list_before_they_listen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is killed while it waits for a program leaves one that is found."""
    listed: list[str] = []

    def waits(*_: object, **__: object) -> None:
        pids = json.loads((folder / PROGRAMS_FILE).read_text()).values()
        listed.extend(command_line(pid) for pid in pids)

    none = Path("none")
    settings = ServiceSettings(
        folder=folder,
        address="127.0.0.2",
        port=1,
        authority=none,
        server_certificate=none,
        server_key=none,
        loopback_certificate=none,
        loopback_key=none,
        secret=none,
    )
    service = Service(settings)
    command = ["sh", "-c", "sleep 60; true", "sh", str(folder)]
    monkeypatch.setattr(service_module, "await_port", waits)
    monkeypatch.setattr(service, "_commands", lambda: [("proxy", command, ("127.0.0.2", 1))])
    with service:
        assert [line.endswith(str(folder)) for line in listed] == [True]
    assert list(folder.glob("*.json")) == []
