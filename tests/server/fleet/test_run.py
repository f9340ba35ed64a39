"""Who is let in and out, and where a server's files are; with a stand-in for the SuperLink."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from common.files import private_folder
from server.authority.authority import Authority
from server.defence import Quarantine, Rule
from server.fleet import run as run_module
from server.fleet.announcing import News
from server.fleet.control import Control, Node
from server.fleet.events import Event
from server.fleet.folder import FleetFolder
from server.fleet.judge import QUARANTINE
from server.fleet.run import FleetServer
from server.fleet.service import ServiceSettings
from server.registry import Publication
from tests.client.fleet_device import SPECIFICATION, draft


class FakeControl:
    """A SuperLink's registry of nodes; `meanwhile` happens in the middle of a registration."""

    def __init__(self, meanwhile: Callable[[str], None] = lambda _: None) -> None:
        self.known: dict[str, int] = {}
        self._meanwhile = meanwhile
        self._last = 100

    def nodes(self) -> tuple[Node, ...]:
        return tuple(Node(id, name, "online", b"") for name, id in self.known.items())

    def register(self, name: str, key: object) -> int:
        self._last += 1
        self.known[name] = self._last
        self._meanwhile(name)
        return self._last

    def unregister(self, node: int) -> None:
        self.known = {name: id for name, id in self.known.items() if id != node}


def server_of(authority: Authority, told: Callable[[Event], None]) -> FleetServer:
    server = FleetServer(authority.folder, tell=told)
    server._authority = authority
    server._folder = FleetFolder(authority.folder)
    server._news = News(server._folder.federation)
    return server


def test_who_is_revoked_while_others_are_registered_is_let_in_no_more(tmp_path: Path) -> None:
    authority, told = Authority.create(tmp_path / "fleet", address="localhost:1"), list[Event]()
    for name in ("kitchen", "hall"):
        authority.add_device(name)

    def revoke(name: str) -> None:
        if name == "hall":
            Authority(authority.folder).revoke("kitchen", "stolen")

    control = FakeControl(revoke)
    server = server_of(authority, told.append)
    for _ in range(2):
        server._register(cast(Control, control))
    assert set(control.known) == {"hall"}
    assert authority.devices.all()[0].removed is not None
    assert [event.name for event in told] == [
        *("device-registered", "device-registered", "device-revoked")
    ]


def test_a_quarantine_ends_for_a_new_key_of_the_name_alone(tmp_path: Path) -> None:
    authority, told = Authority.create(tmp_path / "fleet", address="localhost:1"), list[Event]()
    server, before = server_of(authority, told.append), datetime.now(UTC) - timedelta(hours=1)
    federation = private_folder(server._folder.federation)
    quarantine = Quarantine(federation / QUARANTINE, Rule(failures=1, rounds=1))
    authority.add_device("hall", now=before)
    authority.add_device("kitchen", now=before)
    quarantine.note("fleet", 1, {"hall": "not finite", "kitchen": "not finite"})
    authority.revoke("kitchen", "stolen")
    authority.add_device("kitchen", now=datetime.now(UTC) + timedelta(seconds=1))
    server._register(cast(Control, FakeControl()))
    assert set(quarantine.cases()) == {"hall"}
    assert [case.by for case in quarantine.history()] == ["the enrolment of a new key"]
    assert "quarantine-ended" in [event.name for event in told]


class Runs(FakeControl):
    """A SuperLink whose runs end at once, as they are told."""

    def __init__(self, *statuses: str) -> None:
        super().__init__()
        self.started = 0
        self._statuses = iter(statuses)

    def start(self, settings: object) -> int:
        self.started += 1
        return self.started

    def status(self, run: int) -> str:
        return next(self._statuses)


def test_what_is_published_between_rounds_gets_a_run_that_is_no_rounds_run(tmp_path: Path) -> None:
    authority, told = Authority.create(tmp_path / "fleet", address="localhost:1"), list[Event]()
    server, control = server_of(authority, told.append), Runs("running", "finished:completed")

    def passes() -> None:
        server._keep_going(cast(Control, control))
        server._bring_news(cast(Control, control))

    passes()
    authority.publish(
        Publication(specification=SPECIFICATION, arrays=draft(1.0).arrays, round=1, metrics={})
    )
    passes()
    assert control.started == 0, "nobody is online"
    control.known["kitchen"] = 7
    for _ in range(4):
        passes()
    assert control.started == 1
    assert [event.name for event in told] == ["release-brought"]
    assert server._folder.run_note() == {}


class Ended(Exception):
    """Ends a server in place of its programs' start."""


def test_a_relative_folder_is_the_one_below_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Authority.create(tmp_path / "fleet", address="localhost:8443")
    monkeypatch.chdir(tmp_path)
    given: list[ServiceSettings] = []

    def started(settings: ServiceSettings) -> object:
        given.append(settings)
        raise Ended

    monkeypatch.setattr(run_module, "Service", started)
    with pytest.raises(Ended):
        FleetServer(Path("fleet"), second_lock=True, tell=lambda _: None).run()
    (settings,) = given
    paths = [value for value in vars(settings).values() if isinstance(value, Path)]
    assert len(paths) == 9
    assert all(path.is_relative_to(tmp_path / "fleet") for path in paths)
